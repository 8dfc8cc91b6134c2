"""Measurements beside the table: memory, system calls, instructions."""
import os
import re
import signal
import subprocess
import time

from measure import Load
from servers import BenchError, Server, flavour, pin, process_rss

SERVER_CORE, LOAD_CORE = 0, 1
IDLE_CONNECTIONS = 10000
STRACE_REQUESTS = 160000
CALLGRIND_KEYS = 1000

# what is asked at pipeline 16, and whether all know it
DEPTH16 = [("get 16", "--op get --depth 16", True),
           ("mg 16", "--op mg --depth 16", False)]
# the same, and between which two request counts the slope is taken
CALLGRIND = [("get 1", "--op get --depth 1", True, (2000, 12000))] + [
    row + ((2000, 22000),) for row in DEPTH16] + [
    ("get of 50 keys", "--op get --multi 50", True, (200, 1200))]


class Setups:
    """The servers to look at, (path, program, kind): each alone, with its backends if it is a proxy."""

    def __init__(self, args, tmp):
        self.args = args
        self.tmp = tmp

    def __iter__(self):
        args = self.args
        if "hit" in args.paths:
            yield "hit", args.kvgate, None
            yield "hit", args.memcached, None
        if "proxy" in args.paths:
            yield "proxy", args.kvgate_proxy, None
            yield "proxy", args.nutcracker, None
        if "redis" in args.paths:
            yield "redis", args.kvgate_proxy, "raw"
            yield "redis", args.kvgate_proxy, "item"
            yield "redis", args.nutcracker, "raw"

    def start(self, path, program, wrap=()):
        """The server and what it needs, last first."""
        needs = {"hit": [], "proxy": [self.args.memcached] * 2,
                 "redis": [self.args.redis]}[path]
        backends = []
        try:
            for need in needs:
                backends.append(Server(need, LOAD_CORE, tmp=self.tmp))
            return [Server(program, SERVER_CORE, backends, wrap, self.tmp)] + \
                backends
        except BenchError:
            stop(backends)
            raise


def stop(servers):
    for server in servers:
        server.stop()


def idle(args, load, tmp):
    """Growth of the resident set by idle connections, fresh and used ones."""
    out = []
    print(f"\nmemory of {IDLE_CONNECTIONS} idle connections")
    for path, program, kind in Setups(args, tmp):
        if kind is not None:
            continue            # no other than before memcacheds
        for touch in (False, True):
            servers = Setups(args, tmp).start(path, program)
            try:
                grown = idle_growth(servers[0], load, touch)
            finally:
                stop(servers)
            kind = "after a request on each" if touch else "just opened"
            print(f"{path:6} {flavour(program):10} {kind:24} "
                  f"{grown / 2**20:7.2f} MiB  "
                  f"{grown / IDLE_CONNECTIONS:7.0f} bytes each")
            out.append({"path": path, "server": program, "touched": touch,
                        "bytes": grown})
    return out


def idle_growth(server, load, touch):
    load.fill(server, 100)
    before = process_rss(server.pid)
    command = [load.path, "--idle", str(IDLE_CONNECTIONS), "--key-prefix",
               "s100:", "--key-size", "20", server.target]
    if touch:
        command.insert(1, "--idle-touch")
    with subprocess.Popen(command, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, preexec_fn=pin(LOAD_CORE),
                          text=True) as holder:
        try:
            line = holder.stdout.readline()
            if line != f"holding {IDLE_CONNECTIONS}\n":
                raise BenchError(f"kvload --idle on {server.path}: {line}")
            after = settled_rss(server.pid)
        finally:
            holder.stdin.close()
            holder.wait()
        if holder.returncode != 0:
            raise BenchError(f"{server.path} ended idle connections")
    return after - before


def settled_rss(pid):
    """The server may still be accepting: wait until it grows no more."""
    last = -1
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        now = process_rss(pid)
        if now == last:
            break
        last = now
        time.sleep(0.3)
    return last


def syscalls(args, load, tmp):
    """System calls per request at pipeline 16."""
    out = []
    print("\nsystem calls per request, 50 clients (strace -c -f)")
    for path, program, kind in Setups(args, tmp):
        servers = Setups(args, tmp).start(path, program)
        try:
            load.fill(servers[0], 100, kind)
            for name, asked, everywhere in DEPTH16:
                if not everywhere and not knows_mg(path, program):
                    continue
                counts = strace_counts(servers[0], load, asked.split(), kind, tmp)
                total = sum(counts.values()) / STRACE_REQUESTS
                top = sorted(counts.items(), key=lambda c: -c[1])[:4]
                name = kind_name(kind, name)
                print(f"{path:6} {flavour(program):10} {name:13} {total:7.4f}  "
                      + ", ".join(f"{k} {v / STRACE_REQUESTS:.4f}"
                                  for k, v in top))
                out.append({"path": path, "server": program, "scenario": name,
                            "per_request": total, "calls": counts})
        finally:
            stop(servers)
    return out


def knows_mg(path, program):
    return path != "redis" and flavour(program) != "nutcracker"


def kind_name(kind, name):
    return f"{kind} {name}" if kind else name


def strace_counts(server, load, asked, kind, tmp):
    """call -> how often, while the load ran (its connecting included)."""
    report = os.path.join(tmp, "strace.out")
    command = ["strace", "-c", "-f", "-o", report, "-p", str(server.pid)]
    try:
        with subprocess.Popen(command, stderr=subprocess.PIPE,
                              text=True) as tracer:
            try:
                line = tracer.stderr.readline()
                if "attached" not in line:
                    raise BenchError(f"strace: {line.strip()}")
                load.run(server, 100, asked + [
                    "--requests", str(STRACE_REQUESTS)], kind=kind)
            finally:
                tracer.send_signal(signal.SIGINT)
                tracer.communicate()
    except OSError as e:
        raise BenchError(f"cannot run strace: {e.strerror}") from e
    counts = {}
    with open(report, encoding="ascii") as f:
        for row in f:
            m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?"
                         r"([a-z]\w*)$", row)
            if m and m[2] != "total":
                counts[m[2]] = int(m[1])
    if not counts:
        raise BenchError("strace counted nothing")
    return counts


def callgrind(args, load, tmp):
    """User instructions per request: the slope between two request counts."""
    out = []
    small = Load(load.path, LOAD_CORE, args.conns, CALLGRIND_KEYS)
    print("\nuser instructions per request, 50 clients (callgrind; the slope "
          "between two request counts)")
    for path, program, kind in Setups(args, tmp):
        for name, asked, everywhere, counts in CALLGRIND:
            if not everywhere and not knows_mg(path, program):
                continue
            few, many = (instructions(Setups(args, tmp), (path, program, kind),
                                      small, asked.split(), n, tmp)
                         for n in counts)
            slope = (many - few) / (counts[1] - counts[0])
            name = kind_name(kind, name)
            print(f"{path:6} {flavour(program):10} {name:20} {slope:8.0f}")
            out.append({"path": path, "server": program, "scenario": name,
                        "instructions": slope})
    return out


def instructions(setups, setup, load, asked, requests, tmp):
    path, program, kind = setup
    profile = os.path.join(tmp, "callgrind.out")
    servers = setups.start(path, program, [
        "valgrind", "-q", "--tool=callgrind",
        f"--callgrind-out-file={profile}"])
    try:
        load.fill(servers[0], 100, kind)
        load.run(servers[0], 100, asked + ["--requests", str(requests)],
                 kind=kind)
    finally:
        stop(servers)
    with open(profile, encoding="utf-8", errors="replace") as f:
        totals = [line for line in f if line.startswith(("totals:", "summary:"))]
    if not totals:
        raise BenchError(f"callgrind left no totals for {program}")
    return int(totals[-1].split()[1])
