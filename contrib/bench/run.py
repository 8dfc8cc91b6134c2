#!/usr/bin/python3
"""kvgate beside memcached (hit path) and nutcracker (proxy, redis and tail).

Every round runs every scenario on both servers, one right after the other and
in turns first, so that whatever slows the machine slows both. What is compared
is the CPU time a server spends per request: on a shared machine that is steady
where requests per second are not.
"""
import argparse
import json
import os
import re
import statistics
import sys

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import extras
from measure import CoreWatch, Load
from servers import (BenchError, HERE, Server, flavour, process_cpu_resolution,
                     raise_descriptor_limit, scratch, stop_all_on_exit)
from tail import tail

SERVER_CORE, LOAD_CORE = 0, 1


class Scenario:
    """args: kvload's; goal: the ratio not to be exceeded with 100-byte values; kind: see measure.dialect()."""

    def __init__(self, name, args, goal=None, alone=False, kind=None):
        self.name = name
        self.kind = kind
        self.args = args.split()
        self.goal = goal
        self.alone = alone      # the other server does not know the command


HIT = [
    Scenario("get 1", "--op get --depth 1", 1.0),
    Scenario("get 16", "--op get --depth 16", 0.3),
    Scenario("get 100", "--op get --depth 100", 0.3),
    Scenario("mg 1", "--op mg --depth 1", 1.0),
    Scenario("mg 16", "--op mg --depth 16", 0.8),
    Scenario("mg 100", "--op mg --depth 100", 0.8),
    Scenario("get of 50 keys", "--op get --multi 50", 0.5),
    Scenario("get:set 90:10 1", "--op get --ratio 90:10 --depth 1"),
    Scenario("mg:ms 90:10 16", "--op mg --ratio 90:10 --depth 16"),
]
PROXY = [
    Scenario("get 1", "--op get --depth 1", 0.85),
    Scenario("get 16", "--op get --depth 16", 0.6),
    Scenario("get 100", "--op get --depth 100", 0.6),
    Scenario("get of 50 keys", "--op get --multi 50", 0.8),
    Scenario("mg 1", "--op mg --depth 1", alone=True),
    Scenario("mg 16", "--op mg --depth 16", alone=True),
    Scenario("mg 100", "--op mg --depth 100", alone=True),
]
# memcached's get and RESP's GET, a get of many keys and MGET; whichever way kvgate keeps them
REDIS = [
    Scenario(f"{kind} {name}", args, 1.0, kind=kind)
    for kind in ("raw", "item") for name, args in (
        ("get 1", "--op get --depth 1"),
        ("get 16", "--op get --depth 16"),
        ("get 100", "--op get --depth 100"),
        ("get of 50 keys", "--op get --multi 50"))
]
SCENARIOS = {"hit": HIT, "proxy": PROXY, "redis": REDIS}


class Row:
    """A scenario at a value size: the runs of both servers, round by round."""

    def __init__(self, path, scenario, size):
        self.path = path
        self.scenario = scenario
        self.size = size
        self.runs = {"kvgate": [], "other": []}

    def label(self):
        return f"{self.path}/{self.scenario.name}/{self.size}"

    def median(self, who, *keys):
        def pick(run):
            for k in keys:
                run = run[k]
            return run
        runs = self.runs[who]
        return statistics.median(map(pick, runs)) if runs else None

    def best(self, who):
        return min(run["cpu_us"] for run in self.runs[who])

    def ratios(self):
        return [k["cpu_us"] / o["cpu_us"]
                for k, o in zip(self.runs["kvgate"], self.runs["other"])]

    def as_json(self, names):
        out = {"path": self.path, "scenario": self.scenario.name,
               "value_bytes": self.size, "goal": self.scenario.goal
               if self.size == 100 else None, "runs": {}}
        for who, runs in self.runs.items():
            if runs:
                out["runs"][names[who]] = runs
                out[f"{who}_cpu_us"] = self.median(who, "cpu_us")
        if self.ratios():
            out["ratio"] = statistics.median(self.ratios())
            out["ratio_of_best"] = self.best("kvgate") / self.best("other")
        return out


def run_path(path, rows, servers, load, args, watch):
    """All rounds of one path. servers: who -> Server."""
    for size in args.values:
        for server in servers.values():
            for kind in {row.scenario.kind for row in rows}:
                load.fill(server, size, kind)
    for n in range(args.rounds):
        for row in rows:
            order = list(servers)
            if n % 2:
                order.reverse()
            for who in order:
                if row.scenario.alone and \
                        flavour(servers[who].path) == "nutcracker":
                    continue
                watch.begin()
                run = load.run(servers[who], row.size, row.scenario.args + [
                    "--duration", str(args.seconds)], seed=n + 1,
                    kind=row.scenario.kind)
                watch.end(run["seconds"], run["server_busy"] * run["seconds"])
                row.runs[who].append(run)
                progress(f"{path} round {n + 1}/{args.rounds} "
                         f"{row.scenario.name}, {row.size} B, {who}")
    progress("")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def number(v, digits=2):
    return "-" if v is None else f"{v:.{digits}f}"


def table(rows, title, names):
    head = ["pipeline", "bytes", names["kvgate"], names["other"], "ratio",
            "min..max", "of best", "goal", "kreq/s", "", "p50 us", "", "p99 us", "",
            "busy %", "", "load %"]
    lines = [head]
    for r in rows:
        ratios = r.ratios()
        line = [r.scenario.name, str(r.size)]
        line += [number(r.median(w, "cpu_us")) for w in ("kvgate", "other")]
        goal = r.scenario.goal if r.size == 100 else None
        if ratios:
            ratio = statistics.median(ratios)
            line += [number(ratio) + ("!" if goal and ratio > goal else " "),
                     f"{min(ratios):.2f}..{max(ratios):.2f}",
                     number(r.best("kvgate") / r.best("other"))]
        else:
            line += ["- ", "-", "-"]
        line.append(number(goal))
        for keys, by in ((("rate",), 1000), (("latency_us", "p50"), 1),
                         (("latency_us", "p99"), 1), (("server_busy",), 0.01)):
            for who in ("kvgate", "other"):
                v = r.median(who, *keys)
                line.append(number(None if v is None else v / by,
                                   1 if by == 1000 else 0))
        line.append(number(100 * r.median("kvgate", "load_busy"), 0))
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                        for i, (c, w) in enumerate(zip(line, widths))).rstrip())


def misses(rows, names):
    for row in rows:
        for who, runs in row.runs.items():
            lost = sum(r["misses"] for r in runs)
            if lost:
                print(f"note: {names[who]} missed {lost} keys in {row.label()}:"
                      " its figure there is not of hits alone")


def version(path):
    name = flavour(path)
    return name if name != "kvgate" else os.path.basename(path)


def bench_path(path, args, load, tmp):
    rows = [Row(path, s, size) for s in SCENARIOS[path] for size in args.values]
    if path == "proxy" and flavour(args.kvgate_proxy) == "nutcracker":
        rows = [r for r in rows if not r.scenario.alone]
    rows = [r for r in rows if re.search(args.only, r.label())]
    if not rows:
        return []
    watch = CoreWatch(SERVER_CORE)
    if path == "hit":
        ours, other, backends = args.kvgate, args.memcached, []
    else:
        ours, other = args.kvgate_proxy, args.nutcracker
        programs = [args.redis] if path == "redis" else [args.memcached] * 2
        backends = [Server(program, LOAD_CORE, tmp=tmp) for program in programs]
    names = {"kvgate": version(ours), "other": version(other)}
    servers = {}
    try:
        servers["kvgate"] = Server(ours, SERVER_CORE, backends, tmp=tmp)
        servers["other"] = Server(other, SERVER_CORE, backends, tmp=tmp)
        resolution = process_cpu_resolution(servers["kvgate"].pid)
        run_path(path, rows, servers, load, args, watch)
    finally:
        for server in list(servers.values()) + backends:
            server.stop()
    table(rows, f"{path} path: server CPU us per request, medians of "
          f"{args.rounds} rounds, {args.conns} clients, {args.keys} keys", names)
    misses(rows, names)
    print(f"CPU clock resolution {resolution * 1e9:.0f} ns; others took "
          f"{100 * watch.share():.1f} % of the server's core meanwhile "
          "(the kernel's work for the network included)")
    return [r.as_json(names) for r in rows]


def sizes(text):
    return [int(x) for x in text.split(",")]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kvgate", default="./kvgate", help="what is measured")
    p.add_argument("--kvgate-proxy", help="as proxy, if it is another program")
    p.add_argument("--memcached", default="memcached")
    p.add_argument("--nutcracker", default="nutcracker")
    p.add_argument("--redis", default="redis-server")
    p.add_argument("--kvload", help="the load generator")
    p.add_argument("--delay", help="what makes a memcached slow")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1.0, help="of each run")
    p.add_argument("--quick", action="store_true",
                   help="three rounds of a third of a second, 100 bytes")
    p.add_argument("--paths", default="hit,proxy,redis,tail")
    p.add_argument("--only", default="", metavar="REGEX",
                   help="rows such as 'hit/mg 16/100'")
    p.add_argument("--values", type=sizes, default=[100, 1000])
    p.add_argument("--conns", type=int, default=50)
    p.add_argument("--keys", type=int, default=100000)
    p.add_argument("--json", metavar="FILE", help="all figures of all runs")
    p.add_argument("--tail", action="store_true", help="--paths tail")
    p.add_argument("--tail-rate", type=float, default=1000,
                   help="reads a second (1000); README.md says why so few")
    p.add_argument("--tail-seconds", type=float, default=10)
    p.add_argument("--tail-rounds", type=int, default=3)
    p.add_argument("--idle", action="store_true",
                   help="instead: memory of 10000 idle connections")
    p.add_argument("--syscalls", action="store_true",
                   help="instead: system calls per request, by strace")
    p.add_argument("--callgrind", action="store_true",
                   help="instead: user instructions per request")
    args = p.parse_args()
    args.kvgate_proxy = args.kvgate_proxy or args.kvgate
    if args.quick:
        args.rounds, args.seconds, args.values = 3, args.seconds / 3, [100]
        args.tail_seconds /= 3
    args.paths = ["tail"] if args.tail else args.paths.split(",")
    for path in set(args.paths) - set(SCENARIOS) - {"tail"}:
        p.error(f"there is no path {path}")
    args.kvload = built("kvload", args.kvload)
    args.delay = built("delay", args.delay)
    return args


def built(name, given):
    for path in (given, f"contrib/bench/{name}", os.path.join(HERE, name)):
        if path and os.access(path, os.X_OK):
            return path
    raise BenchError(f"{name} is not built: make contrib/bench/{name}")


def main():
    args = arguments()
    raise_descriptor_limit()
    stop_all_on_exit()
    if len(os.sched_getaffinity(0)) < 2:
        print("note: one core only; server and load share it")
    result = {"args": vars(args)}
    with scratch() as tmp:
        load = Load(args.kvload, LOAD_CORE, args.conns, args.keys)
        if args.idle or args.syscalls or args.callgrind:
            for name in ("idle", "syscalls", "callgrind"):
                if getattr(args, name):
                    result[name] = getattr(extras, name)(args, load, tmp)
        else:
            result["rows"] = []
            for path in args.paths:
                if path == "tail":
                    result["tail"] = tail(args, load, tmp)
                else:
                    result["rows"] += bench_path(path, args, load, tmp)
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
