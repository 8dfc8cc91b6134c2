"""What is deleted: how soon reads of what stays are as fast as if it had never been, and when it is physically removed."""
import random
import socket
import statistics
import time

from records_base import LOAD_CORE, Wire, conf, fill, line, kvgate, quantile, stats
from servers import BenchError, Server

GONE = 100_000
SIZE = 100
EACH = 1000             # items of one record, or of one command
GAPS = 10               # ranges that are deleted
NEXT = 21               # reads whose median counts
PATIENCE = 60           # seconds until reads have to be fast
GOAL_READ = 2.0
GOAL_BUCKET = 2.0

TTL, JITTER, DRIFT, BUCKETS = 60, 30, 10, 10
TIMES = f"delete_ttl = {TTL}s  delete_jitter = {JITTER}s  token_drift_behind = {DRIFT}s"


def stores(bench, more=""):
    """Name, kvgate, Redis (None), one after the other."""
    with bench.server(more=more) as server:
        yield "rocksdb", server, None
    with Server(bench.args.redis, LOAD_CORE, tmp=bench.tmp) as redis, \
            Server(bench.args.kvgate, 0, tmp=bench.tmp, conf=conf(None, redis=redis, more=more)) as server:
        yield "redis", server, redis


# ---- reads beside what is deleted ----


def layout(live, spread):
    """Item keys that stay and that go: one that stays behind each of many, or GAPS fields between those that stay."""
    if spread:
        stay = {GONE // live * n for n in range(1, live + 1)}
        keys = [b"%08d" % n for n in range(GONE + live)]
        return [k for n, k in enumerate(keys) if n in stay], [k for n, k in enumerate(keys) if n not in stay]
    return ([b"%02dl%06d" % (g, n) for g in range(GAPS) for n in range(live // GAPS)],
            [b"%02dd%06d" % (g, n) for g in range(GAPS) for n in range(GONE // GAPS)])


def by_items(record, gone):
    return b"".join(b"md %s/%s q\r\n" % (record, k) for k in gone)


def by_chance(record, gone):
    return by_items(record, random.Random(1).sample(gone, len(gone)))


def by_lists(record, gone):
    return b"".join(b"kd %s q%s\r\n" % (record, b"".join(b" K" + k for k in gone[n:n + EACH]))
                    for n in range(0, len(gone), EACH))


def by_ranges(record, _):
    return b"".join(b"kd %s G%02dd U%02de q\r\n" % (record, g, g) for g in range(GAPS))


def by_heads(record, _):
    return b"".join(b"kd %s H%02dd q\r\n" % (record, g) for g in range(GAPS))


def by_old_ranges(record, _):
    """Something newer is in the namespace: what is covered has to be looked at, item by item."""
    now = time.time_ns() // 1000
    return b"kp r:newer 1 E%d q\r\nx 1\r\nx\r\n" % (now + 5_000_000) + \
        b"".join(b"kd %s G%02dd U%02de E%d q\r\n" % (record, g, g, now) for g in range(GAPS))


WAYS = {"md of each": (by_items, True), "md in any order": (by_chance, True), "kd of 1000 K": (by_lists, True),
        "kd of 10 G U": (by_ranges, False), "kd of 10 H": (by_heads, False), "kd E before a newer": (by_old_ranges, False),
        "expired": (None, True)}


def read(wire, record, more=b""):
    """Milliseconds for the whole of a record, or for a page of it."""
    took, token = 0, b""
    while True:
        seconds, size = wire.ask(b"kg %s%s%s\r\n" % (record, more, token), b"EN")
        took += seconds
        end = bytes(wire.room[max(0, size - 4096):size]).rsplit(b"\r\n", 2)[-2]
        token = b"".join(b" " + w for w in end.split() if w.startswith(b"N"))
        if not token or b"M" in more:
            return took * 1000


def beside(bench, wire, space, way, live, n):
    """One record with what is gone, one without: the first read, how long until reads are fast, and the reads from then on."""
    delete, spread = WAYS[way]
    stay, gone = layout(live, spread)
    record, clean = b"r:gone%d" % n, b"r:clean%d" % n
    value, ttl = b"v" * SIZE, 0 if delete else 3
    for k in range(0, len(gone), 5000):
        space.put(record, [kvgate.Write(key, value, ttl) for key in gone[k:k + 5000]])
    for some in (record, clean):
        space.put(some, {k: value for k in stay})
    usual = statistics.median(read(wire, clean) for _ in range(NEXT))
    if delete:
        wire.ask(delete(record, gone) + b"mn\r\n", b"MN")
    else:
        time.sleep(ttl + 1)
    begin = time.monotonic()
    first = now = read(wire, record)
    while now > GOAL_READ * usual and time.monotonic() < begin + PATIENCE:
        time.sleep(0.05)
        now = statistics.median(read(wire, record) for _ in range(3))
    soon = time.monotonic() - begin
    if [item.key for item in space.get(record)] != stay:
        raise BenchError(f"{way}: other items than those that stay")
    worst = 0
    for more in (b"", b" M100", b" G%s U%s" % (stay[len(stay) // 3], stay[2 * len(stay) // 3])):
        pairs = [(read(wire, record, more), read(wire, clean, more)) for _ in range(NEXT)]
        worst = max(worst, statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs))
    return {"clean_ms": usual, "first_ms": first, "fast_after_s": soon, "ratio": worst}


def dead(bench):
    """Reads of a record beside 100,000 items that are gone, and of one without: the first, and when they are fast."""
    found = {}
    for store, server, _ in stores(bench):
        wire, space = Wire(server), bench.records(server)
        for way in WAYS:
            for live in (1000, 10):
                runs = [beside(bench, wire, space, way, live, len(found) * 100 + k)
                        for k in range(1 if bench.args.quick else 3)]
                r = {k: statistics.median(run[k] for run in runs) for k in runs[0]}
                found[f"{store}, {way}, {live}"] = r
                line(f"{store}, {way}, {live} stay: first, then",
                     f"{r['first_ms'] / r['clean_ms']:.1f}, after {r['fast_after_s']:.1f} s {r['ratio']:.2f}",
                     f"<= {GOAL_READ:g} times", r["ratio"] <= GOAL_READ)
        wire.close()
    return found


# ---- removals ----


def removed(server, redis):
    """How many marks are gone by now, from some number on."""
    if redis is None:
        return int(stats(server, "servers")["disk:marks_removed"])
    with socket.create_connection(("127.0.0.1", redis.port)) as s:
        s.sendall(b"DBSIZE\r\n")
        return -int(s.recv(100)[1:])


class Probe:
    """A set and a get now and then, and how long they take."""

    def __init__(self, server):
        self.wire, self.times = Wire(server), []

    def ask(self):
        seconds, _ = self.wire.ask(b"ms r:probe/x 1\r\nx\r\nmg r:probe/x v\r\n", b"x")
        self.times.append(seconds * 1000)
        time.sleep(0.002)

    def p99(self):
        times, self.times = self.times, []
        return quantile(times, 0.99) if times else 0.0


def delete_all(wire, items):
    for n in range(0, items, EACH):
        wire.ask(b"".join(b"md r:%d/%08d q\r\n" % (n, k) for k in range(n, n + EACH)) + b"mn\r\n", b"MN")


def watch(server, redis, items, first, last):
    """Removals in each bucket of the window, of what was deleted between first and last; p99 before and meanwhile."""
    begin, end = first + TTL - JITTER, last + TTL + JITTER
    counts, seen, calm, probe = [0] * BUCKETS, 0, None, Probe(server)
    probe.ask()
    base = removed(server, redis)
    while seen < items and time.monotonic() < end + PATIENCE:
        until = time.monotonic() + 0.25
        while time.monotonic() < until:
            probe.ask()
        now, count = time.monotonic(), max(seen, removed(server, redis) - base)
        if calm is None and now >= begin:
            calm = probe.p99()
        if count > seen and now < begin - 0.5:
            raise BenchError("marks go too early")
        counts[min(BUCKETS - 1, max(0, int((now - begin) / (end - begin) * BUCKETS)))] += count - seen
        seen = count
    probe.wire.close()
    return counts, calm or 0.0, probe.p99()


def removals(bench):
    """A million items are deleted one by one: when their marks go, and what a set and a get cost meanwhile."""
    found = {}
    for store, server, redis in stores(bench, TIMES):
        items = bench.args.items if redis is None else bench.args.items // 10
        space, wire = bench.records(server), Wire(server)
        for n in range(0, items, EACH):
            fill(space, f"r:{n}", EACH, SIZE, n)
        first = time.monotonic()
        delete_all(wire, items)
        last = time.monotonic()
        wire.close()
        counts, calm, busy = watch(server, redis, items, first, last)
        mean = sum(counts) / BUCKETS
        spread = f"{max(counts) / mean:.2f} x mean"
        if redis is None:
            line(f"{store}: {sum(counts)} of {items} marks gone, largest tenth", spread,
                 f"<= {GOAL_BUCKET:g} times", max(counts) <= GOAL_BUCKET * mean and sum(counts) >= items)
        else:
            # When each is over is set; when Redis looks is its own affair.
            print(f"  {f'{store}: {sum(counts)} of {items} marks gone, largest tenth':44} {spread:>26}", flush=True)
        width = (last - first + 2 * JITTER) / BUCKETS
        for n, count in enumerate(counts):
            print(f"  {TTL - JITTER + n * width:6.1f} s {count:8} {'#' * round(count * 20 / mean)}", flush=True)
        print(f"  {'set + get p99: before, meanwhile':44} {f'{calm:.2f} ms, {busy:.2f} ms':>26}", flush=True)
        found[store] = {"counts": counts, "deleted_s": last - first, "calm_ms": calm, "meanwhile_ms": busy}
    return found
