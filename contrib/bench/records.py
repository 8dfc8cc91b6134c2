#!/usr/bin/python3
"""Records on the embedded store: what a page, a delete, a durable write and a point read cost, and scans under load.

Each path prints its figures, medians of its rounds, beside its goal. The data lies below --dir; a fast disk makes durable
writes of one client faster and group commit look worse. Keys are loaded with contrib/python.
"""
import argparse
import json
import multiprocessing
import random
import shutil
import signal
import statistics
import sys
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from measure import Load
from records_base import Bench, LOAD_CORE, MB, Wire, fill, kvgate, line, quantile, stats
from records_gone import dead, removals
from servers import BenchError, process_cpu, process_rss, raise_descriptor_limit, scratch, stop_all_on_exit

PAGE = 2 << 20
ITEM = 1024

GOAL_PAGE_MS = 10
GOAL_DELETE = 2.0
GOAL_COMMIT = 20.0
GOAL_POINT_US = 15.0
GOAL_READ = 1.1


def pages(bench):
    """Pages of 2 MiB out of one record of items of 1 KiB, from the block cache."""
    count = 64 * PAGE // ITEM // 4
    times = []
    with bench.server() as server:
        fill(bench.records(server), "r:pages", count, ITEM)
        wire = Wire(server)
        draw = random.Random(1)
        ask = f"kg r:pages B{PAGE} "
        for n in range(0, count, PAGE // ITEM // 2):      # all of it is in the block cache then
            wire.ask(f"{ask}G{n:08}\r\n".encode(), b"EN")
        cpu = process_cpu(server.pid)
        for _ in range(bench.args.pages):
            seconds, size = wire.ask(f"{ask}G{draw.randrange(count - PAGE // ITEM):08}\r\n".encode(), b"EN")
            if size < PAGE * 0.9:
                raise BenchError(f"a page of {size} bytes")
            times.append(seconds * 1000)
        cpu = (process_cpu(server.pid) - cpu) * 1000 / len(times)
        wire.close()
    p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
    line(f"page of 2 MiB, {len(times)} reads: p50, p99", f"{p50:.2f} ms, {p99:.2f} ms", f"p99 < {GOAL_PAGE_MS} ms",
         p99 < GOAL_PAGE_MS)
    print(f"  {'CPU of kvgate for each':44} {f'{cpu:.2f} ms':>26}")
    return {"p50_ms": p50, "p99_ms": p99, "max_ms": max(times), "cpu_ms": cpu}


def deletes(bench):
    """kd of a whole record, of one item and of a million."""
    small, large = [], []
    with bench.server() as server:
        space = bench.records(server)
        wire = Wire(server)
        for n in range(bench.args.rounds):
            fill(space, f"r:large{n}", bench.args.items, 10)
            for k in range(20):
                fill(space, f"r:small{n}.{k}", 1, 10)
            for k in range(20):
                small.append(wire.ask(f"kd r:small{n}.{k}\r\n".encode(), b"HD")[0] * 1e6)
                if k == 10:
                    large.append(wire.ask(f"kd r:large{n}\r\n".encode(), b"HD")[0] * 1e6)
            if list(space.get(f"r:large{n}")):
                raise BenchError("a deleted record has items")
        wire.close()
    one, many = statistics.median(small), statistics.median(large)
    line(f"kd of a record of 1 item, of {bench.args.items}", f"{one:.0f} us, {many:.0f} us = {many / one:.2f}",
         f"<= {GOAL_DELETE:g} times", many <= GOAL_DELETE * one)
    return {"one_us": one, "many_us": many, "items": bench.args.items}


def commits(bench):
    """Sets that are on disk when they are answered, by one client and by 64, over TCP and over a UNIX socket."""
    rates = {(name, clients): [] for name in ("TCP", "UNIX") for clients in (1, 64)}
    with bench.server(durability="always") as server:
        for _ in range(bench.args.rounds):
            for (name, clients), found in rates.items():
                load = Load(bench.args.kvload, LOAD_CORE, clients, bench.args.keys, unix=name == "UNIX")
                run = load.run(server, 100, ["--op", "ms", "--duration", str(bench.args.seconds)])
                found.append(run["rate"])
    result = {}
    for name in ("TCP", "UNIX"):
        one, many = result[name] = [statistics.median(rates[name, n]) for n in (1, 64)]
        line(f"durable sets a second, {name}: 1 client, 64", f"{one:.0f}, {many:.0f} = {many / one:.1f}",
             f">= {GOAL_COMMIT:g} times", many >= GOAL_COMMIT * one)
    return result


def points(bench):
    """CPU of gets that the local cache answers, and of those that the block cache does."""
    found = {}
    for local in ("1h", "0s"):
        with bench.server(local=local) as server:
            load = Load(bench.args.kvload, LOAD_CORE, bench.args.conns, bench.args.keys)
            load.fill(server, 100)
            load.run(server, 100, ["--op", "get", "--duration", "1"])
            found[local] = statistics.median(
                load.run(server, 100, ["--op", "get", "--duration", str(bench.args.seconds)], seed=n + 1)["cpu_us"]
                for n in range(bench.args.rounds))
    more = found["0s"] - found["1h"]
    line("get: CPU of a local hit, of the block cache", f"{found['1h']:.1f} us, {found['0s']:.1f} us = +{more:.1f}",
         f"<= +{GOAL_POINT_US:g} us", more <= GOAL_POINT_US)
    return {"local_us": found["1h"], "block_cache_us": found["0s"]}


def amplification(bench):
    """What pages read from the store beside what they give, on records of items of all sizes."""
    draw = random.Random(1)
    with bench.server() as server:
        space = bench.records(server)
        for n in range(40):
            size = draw.choice((1, 10, 100, 1000, 10_000, 100_000))
            left, items = 6 * MB, {}
            while left > 0:
                length = max(1, int(draw.lognormvariate(0, 0.5) * size)) if n % 2 else size
                items[b"%08d" % len(items)] = b"v" * min(length, 100_000)
                left -= length + 8
                if len(items) == 10_000:
                    break
            space.put(f"r:mixed{n}", items)
        before = stats(server)
        for _ in range(3):
            for n in draw.sample(range(40), 40):
                for _ in space.get(f"r:mixed{n}"):
                    pass
        after = stats(server)
    if "record_bytes_read" not in after:
        raise BenchError("this kvgate does not count what pages read")
    read, given = (int(after[k]) - int(before[k]) for k in ("record_bytes_read", "record_bytes_given"))
    line("pages: bytes read, given", f"{read / MB:.0f} MB, {given / MB:.0f} MB = {read / given:.3f}",
         f"<= {GOAL_READ:g} times", read <= GOAL_READ * given)
    return {"read": read, "given": given}


def scan_part(target, part, parts, records, each):
    """Runs in a process of its own: how often each item that stays came, as bytes."""
    counts = bytearray(records * each)
    with kvgate.Client(target, timeout=300) as client:
        for found in client.namespace("r").scan(part, parts, values=False):
            key = found.item.key
            if key[:1] == b"s" and len(found.id) == 10:
                counts[int(found.id[2:]) * each + int(key[1:])] += 1
    return bytes(counts)


def write_on(target, records, over, seed):
    """Another process: writes, overwrites and deletes around the items that stay."""
    draw = random.Random(seed)
    with kvgate.Client(target, timeout=300, compress=False) as client:
        space = client.namespace("r")
        while not over.is_set():
            record = b"r:%08d" % draw.randrange(records)
            space.put(record, {b"r%02d" % draw.randrange(99): b"passing", b"t%02d" % draw.randrange(99): b"passing",
                               b"s%02d" % draw.randrange(10): b"anew"})
            space.delete_range(record, head="r")
            space.put(record + b"+", {b"s%02d" % draw.randrange(99): b"passing"})
            space.delete_record(record + b"+")


def load_stable(target, first, last, each):
    some = {b"s%02d" % k: b"stable-value-of-32-bytes-or-so-.." for k in range(each)}
    with kvgate.Client(target, timeout=300, compress=False) as client:
        for n in range(first, last, 1000):
            client.namespace("r").mutate([kvgate.Put(b"r:%08d" % r, some) for r in range(n, min(n + 1000, last))])


def scans(bench):
    """All items in parallel parts while others write: each once, and kvgate's memory meanwhile."""
    parts, each = bench.args.parts, 10
    records = bench.args.scan_items // each
    # The pool ends its processes by a signal, which they would take for ours.
    with bench.server(more="page_bytes = 1MB", cache="32MB") as server, \
            multiprocessing.Pool(parts, signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
        step = records // 4 + 1
        start = time.monotonic()
        pool.starmap(load_stable, [(server.target, n, min(n + step, records), each) for n in range(0, records, step)])
        loaded = time.monotonic() - start
        over = multiprocessing.Event()
        writers = [multiprocessing.Process(target=write_on, args=(server.target, records, over, n)) for n in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(1)
        resident = [process_rss(server.pid)]
        start = time.monotonic()
        result = pool.starmap_async(scan_part, [(server.target, n + 1, parts, records, each) for n in range(parts)])
        while not result.ready():
            result.wait(0.5)
            resident.append(process_rss(server.pid))
        seconds = time.monotonic() - start
        found = result.get()
        over.set()
        for writer in writers:
            writer.join()
    once = bytes(map(sum, zip(*found))) == b"\1" * (records * each)
    line(f"scan of {records * each} items, {parts} parts", f"{seconds:.0f} s, {sum(map(sum, found))} given",
         "each exactly once", once)
    early, late = resident[len(resident) // 4], max(resident)
    line("kvgate's memory: before, a quarter in, most", ", ".join(f"{n / MB:.0f}" for n in (resident[0], early, late))
         + " MB", "flat (most <= quarter + 25 %)", late <= early * 1.25)
    return {"seconds": seconds, "loaded_s": loaded, "exactly_once": once, "resident": resident}


PATHS = {"pages": pages, "deletes": deletes, "commits": commits, "points": points, "amplification": amplification,
         "scans": scans, "dead": dead, "removals": removals}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kvgate", default="./kvgate", help="what is measured")
    p.add_argument("--redis", default="redis-server", help="in whose records items are deleted, too")
    p.add_argument("--kvload", default="contrib/bench/kvload", help="the load generator")
    p.add_argument("--dir", help="where the data lies (a temporary directory)")
    p.add_argument("--paths", default=",".join(PATHS))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2.0, help="of each run")
    p.add_argument("--pages", type=int, default=1000, help="that are read")
    p.add_argument("--items", type=int, default=1_000_000, help="of a large record")
    p.add_argument("--scan-items", type=int, default=10_000_000)
    p.add_argument("--parts", type=int, default=4)
    p.add_argument("--keys", type=int, default=100_000)
    p.add_argument("--conns", type=int, default=50)
    p.add_argument("--quick", action="store_true", help="three rounds, a tenth of the items")
    p.add_argument("--json", metavar="FILE", help="all figures")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.items, args.scan_items, args.pages = 3, args.items // 10, args.scan_items // 10, 300
    args.paths = args.paths.split(",")
    for path in set(args.paths) - set(PATHS):
        p.error(f"there is no path {path}")
    return args


def main():
    args = arguments()
    raise_descriptor_limit()
    stop_all_on_exit()
    result = {"args": vars(args)}
    with scratch() as tmp:
        bench = Bench(args, tmp)
        try:
            for path in args.paths:
                print(f"{path}: {PATHS[path].__doc__}", flush=True)
                result[path] = PATHS[path](bench)
        finally:
            shutil.rmtree(bench.path, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="ascii") as f:
            json.dump(result, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    try:
        main()
    except BenchError as e:
        sys.exit(f"bench: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
