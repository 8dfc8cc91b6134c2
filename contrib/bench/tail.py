"""The tail: one of two memcacheds is slow now and then, or silent, or dying.

Both have all keys. kvgate knows that (replicas = 2) and hedges; nutcracker, over
the same two at the same time of the same run, spreads its keys over them. What
slows one and counts the reads of both is delay.c. The load is an open loop, so
that a read that is held up holds up no other and its whole wait is counted.

At a thousand reads a second the cores are idle most of the time, and a virtual
machine's idle core is one that its host takes away: it comes back milliseconds
late. So something runs on each that gives way to everything else (Awake), for both
proxies alike; and the same fleet without any fault is measured, too: less than that
nobody can have here.
"""
import multiprocessing
import os
import statistics
import threading

from servers import BenchError, Delay, Server

SERVER_CORE, LOAD_CORE = 0, 1
SIZE = 100
SHARE, LATE_MS = 1, 20          # percent of one server's replies, by so much
TARGET_MS = 2                   # slo_read's: when a read is sent a second time
TIMEOUT_MS = 500                # well above LATE_MS: who is late now and then is not down
FAILURES = 3
WARM_SECONDS = 2                # within which memcached has made its table larger, after it was filled
STALL_AFTER = 0.25              # of a run
SLOWER_MS = 200                 # a dying server's replies, later by that each second
GOAL_RATIO, GOAL_READS = 0.25, 1.05
GOAL_STALL_US = TARGET_MS * 1000 + 3000
GOAL_DYING = 1.1

STORE = f"replicas = 2  read_from = any  failures = {FAILURES}"
SPACE = f"slo_read {{ target = {TARGET_MS}ms }}"
QUANTILES = ("p50", "p99", "p99.9", "max")


class Awake:
    """A process on each core that runs when nothing else would."""

    @staticmethod
    def _run(core):
        os.sched_setaffinity(0, {core})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while os.getppid() != 1:
            for _ in range(1 << 20):
                pass

    def __enter__(self):
        self.all = [multiprocessing.Process(target=self._run, args=(core,), daemon=True)
                    for core in os.sched_getaffinity(0)]
        for process in self.all:
            process.start()

    def __exit__(self, *exc):
        for process in self.all:
            process.terminate()
            process.join()


class Fleet:
    """Two filled memcacheds, what stands before each, and a proxy over both; all of it fresh."""

    def __init__(self, args, load, tmp, program):
        self.running = []
        try:
            self.backends = [self._keep(Server(args.memcached, LOAD_CORE, tmp=tmp))
                             for _ in range(2)]
            for backend in self.backends:
                load.fill(backend, SIZE)
            self.fronts = [self._keep(Delay(args.delay, b, LOAD_CORE)) for b in self.backends]
            self.slow = self.fronts[0]
            self.proxy = self._keep(Server(program, SERVER_CORE, self.fronts, tmp=tmp,
                                           timeout_ms=TIMEOUT_MS, store=STORE, space=SPACE))
        except BenchError:
            self.stop()
            raise

    def _keep(self, server):
        self.running.append(server)
        return server

    def stop(self):
        for server in reversed(self.running):
            server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def warm(self, load, rate):
        """What comes once, at the start of a server, is not what is measured."""
        self.run(load, rate, WARM_SECONDS, 99)

    def run(self, load, rate, seconds, seed):
        """kvload's figures, and how many reads came out behind the proxy for each."""
        before = sum(f.reads() for f in self.fronts)
        run = load.run(self.proxy, SIZE, [
            "--op", "get", "--rate", str(rate), "--duration", str(seconds),
            "--expect-errors"], seed=seed)
        run["backend_reads"] = sum(f.reads() for f in self.fronts) - before
        run["per_read"] = run["backend_reads"] / run["reads"]
        return run


def median(runs, pick):
    return statistics.median(map(pick, runs))


def show_head():
    print(f"  {'':12}" + "".join(f"{q + ' us':>10}" for q in QUANTILES) +
          "  backend reads per read  errors")


def show(name, runs):
    print(f"  {name:12}" + "".join(f"{median(runs, lambda r, q=q: r['latency_us'][q]):10.0f}"
                                   for q in QUANTILES) +
          f"{median(runs, lambda r: r['per_read']):24.4f}{sum(r['errors'] for r in runs):8}")
    for text in sorted({t for r in runs for t in r["error_texts"]}):
        print(f"  {'':12}{sum(r['error_texts'].get(text, 0) for r in runs)} times: {text}")


def mark(bad):
    return "!" if bad else ""


def steady(args, load, tmp):
    """Nobody is slow: what this machine itself does to the tail."""
    runs = []
    for n in range(args.tail_rounds):
        with Fleet(args, load, tmp, args.kvgate_proxy) as fleet:
            fleet.warm(load, args.tail_rate)
            runs.append(fleet.run(load, args.tail_rate, args.tail_seconds, n + 1))
    print("\nnobody is slow")
    show_head()
    show("kvgate", runs)
    return {"runs": runs}


def late(args, load, tmp):
    """Both proxies in each round, in turns first."""
    programs = {"kvgate": args.kvgate_proxy, "nutcracker": args.nutcracker}
    runs = {name: [] for name in programs}
    for n in range(args.tail_rounds):
        for name in sorted(programs, reverse=n % 2):
            with Fleet(args, load, tmp, programs[name]) as fleet:
                fleet.warm(load, args.tail_rate)
                fleet.slow.be(f"delay {SHARE} {LATE_MS}")
                runs[name].append(fleet.run(load, args.tail_rate, args.tail_seconds, n + 1))
    print(f"\none delays {SHARE} % of its replies by {LATE_MS} ms")
    show_head()
    for name, of in runs.items():
        show(name, of)
    ratios = [ours["latency_us"]["p99.9"] / other["latency_us"]["p99.9"]
              for ours, other in zip(runs["kvgate"], runs["nutcracker"])]
    ratio = statistics.median(ratios)
    reads = median(runs["kvgate"], lambda r: r["per_read"])
    print(f"  p99.9 {ratio:.3f}{mark(ratio > GOAL_RATIO)} of nutcracker's, {min(ratios):.3f} in the best round "
          f"(goal {GOAL_RATIO}), "
          f"{100 * reads - 100:.1f} %{mark(reads > GOAL_READS)} more backend reads than reads "
          f"(goal {100 * GOAL_READS - 100:.0f})")
    return {"runs": runs, "ratio": ratio, "per_read": reads}


def stalled(args, load, tmp):
    """In the middle of a run one of the two falls silent and stays so."""
    runs = []
    for n in range(args.tail_rounds):
        with Fleet(args, load, tmp, args.kvgate_proxy) as fleet:
            timer = threading.Timer(args.tail_seconds * STALL_AFTER, fleet.slow.be, ["stall"])
            fleet.warm(load, args.tail_rate)
            timer.start()
            try:
                runs.append(fleet.run(load, args.tail_rate, args.tail_seconds, n + 1))
            finally:
                timer.cancel()
                timer.join()
    print(f"\none is silent from a quarter of the run on; it is down after {FAILURES} timeouts of {TIMEOUT_MS} ms")
    show_head()
    show("kvgate", runs)
    p999 = median(runs, lambda r: r["latency_us"]["p99.9"])
    best = min(r["latency_us"]["p99.9"] for r in runs)
    errors = sum(r["errors"] for r in runs)
    print(f"  p99.9 {p999:.0f} us{mark(p999 > GOAL_STALL_US)}, {best:.0f} in the best round (goal {GOAL_STALL_US}: hedged after {TARGET_MS} ms, and 3), "
          f"{errors}{mark(errors)} errors (goal 0)")
    return {"runs": runs, "p99.9": p999, "errors": errors}


def dying(args, load, tmp):
    """What one that answers ever slower is asked, second by second, beside what it was asked before."""
    normal, now = [], []
    with Fleet(args, load, tmp, args.kvgate_proxy) as fleet:
        fleet.warm(load, args.tail_rate)
        for reads, mode, rounds in ((normal, "off", 3), (now, f"slower {SLOWER_MS}", 10)):
            fleet.slow.be(mode)
            for n in range(rounds):
                before = fleet.slow.reads()
                run = fleet.run(load, args.tail_rate, 1, n + 1)
                reads.append((fleet.slow.reads() - before) / run["seconds"])
    usual = statistics.median(normal)
    ratio = max(now) / usual
    print(f"\none dies: its replies come {SLOWER_MS} ms later with each second\n"
          f"  it is asked {usual:.0f} times a second before, then " +
          " ".join(f"{r:.0f}" for r in now) +
          f"; at most {ratio:.2f}{mark(ratio > GOAL_DYING)} times the usual (goal {GOAL_DYING})")
    return {"usual": usual, "seconds": now, "ratio": ratio}


def tail(args, load, tmp):
    print(f"\ntail: {args.tail_rate} reads/s of {SIZE} bytes, open loop, {args.tail_rounds} rounds of "
          f"{args.tail_seconds:.3g} s, {args.conns} clients; two memcacheds, each with all keys; kvgate: "
          f"{STORE}  {SPACE}")
    with Awake():
        return {f.__name__: f(args, load, tmp) for f in (steady, late, stalled, dying)}
