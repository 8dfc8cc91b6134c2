#!/usr/bin/python3
"""Hit ratios of kvgate beside memcached's, at equal -m, stream by stream.

Each run has a server of its own, started empty. Hit ratios do not depend on how busy the machine is, but for streams
whose TTLs count: those keep to their clock, and a run that fell behind it is marked.
"""
import argparse
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from servers import BenchError, HERE, Server, scratch, stop_all_on_exit

RUN_DEADLINE = 1800
BELOW = 0.003       # never more than this below the other one
LATE = 1.0          # seconds behind its clock: then TTLs were shorter than meant
# (stream, -m) -> what we want to hold.
GOALS = {("zipf0.8", 64): .575, ("zipf0.99", 64): .805, ("zipf1.2", 64): .955, ("scan", 64): .503,
         ("shift", 64): .750}
HEAD = ["stream", "kvgate", "memcached", "points", "goal", "items", "", "kreq/s", "", "notes"]
WIDTHS = [12, 7, 9, 7, 5, 9, 9, 7, 7, 0]


class Replayer:
    """Runs hitratio with what all runs of a bench have in common."""

    def __init__(self, args):
        self.path = args.hitratio
        self.common = ["--json"]
        if args.requests:
            self.common += ["--requests", str(args.requests)]
        self.drawn = ["--seed", str(args.seed), "--scale", str(args.scale)]

    def names(self):
        text = self._run([self.path, "--list"])
        return [line.split()[0] for line in text.splitlines()]

    def run(self, stream, server):
        kind = self.drawn if stream in self.names() else ["--trace"]
        return json.loads(self._run([self.path] + self.common + kind + [stream, server.target]))

    @staticmethod
    def _run(command):
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=RUN_DEADLINE,
                                  check=False)
        except OSError as e:
            raise BenchError(f"cannot run {command[0]}: {e.strerror}") from e
        except subprocess.TimeoutExpired as e:
            raise BenchError(f"no end of: {' '.join(command)}") from e
        if done.returncode != 0:
            raise BenchError(f"hitratio ended with {done.returncode}: {' '.join(command)}\n"
                             f"{done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8", "replace")


def line(cells):
    print("  ".join(c.ljust(w) if i == 0 or w == 0 else c.rjust(w)
                    for i, (c, w) in enumerate(zip(cells, WIDTHS))).rstrip(), flush=True)


def notes(ours, other, goal):
    out = []
    if ours["hit_ratio"] < other["hit_ratio"] - BELOW:
        out.append("! below memcached")
    if goal and ours["hit_ratio"] < goal:
        out.append("! below goal")
    for name, run in (("kvgate", ours), ("memcached", other)):
        if run["refused"]:
            out.append(f"{name} refused {run['refused']} values")
        if run["late"] > LATE:
            out.append(f"{name} was {run['late']:.0f} s late")
    return "; ".join(out)


def kilo_per_second(run):
    return f"{run['requests'] / max(run['seconds'], 0.001) / 1000:.0f}"


def compare(stream, memory, args, replayer, tmp):
    runs = {}
    for who, path in (("kvgate", args.kvgate), ("memcached", args.memcached)):
        with Server(path, tmp=tmp, memory=memory) as server:
            runs[who] = replayer.run(stream, server)
    ours, other = runs["kvgate"], runs["memcached"]
    goal = None if args.requests or args.scale != 1 else GOALS.get((stream, memory))
    line([stream, f"{ours['hit_ratio']:.4f}", f"{other['hit_ratio']:.4f}",
          f"{100 * (ours['hit_ratio'] - other['hit_ratio']):+.2f}", f"{goal:.3f}" if goal else "",
          str(ours.get("items", "")), str(other.get("items", "")),
          kilo_per_second(ours), kilo_per_second(other),
          notes(ours, other, goal)])
    return {"stream": stream, "memory": memory, "goal": goal, "runs": runs}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kvgate", default="./kvgate", help="what is measured")
    p.add_argument("--memcached", default="memcached")
    p.add_argument("--hitratio", help="the replayer")
    p.add_argument("--memory", type=lambda t: [int(x) for x in t.split(",")], default=[64, 16, 256], metavar="M,...",
                   help="-m of both servers (64,16,256)")
    p.add_argument("--streams", type=lambda t: t.split(","), metavar="NAME,...",
                   help="instead of all (hitratio --list); a file is a trace")
    p.add_argument("--requests", type=int, help="of each run, instead of the stream's own number")
    p.add_argument("--scale", type=float, default=1, help="of the streams: fewer keys and requests")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--quick", action="store_true", help="a million requests, -m 64 and 16")
    p.add_argument("--json", metavar="FILE", help="all figures of all runs")
    args = p.parse_args()
    if args.quick:
        args.requests, args.memory = args.requests or 1000000, [64, 16]
    return args


def find_hitratio(args):
    for path in (args.hitratio, "contrib/bench/hitratio", os.path.join(HERE, "hitratio")):
        if path and os.access(path, os.X_OK):
            return path
    raise BenchError("hitratio is not built: make contrib/bench/hitratio")


def main():
    args = arguments()
    args.hitratio = find_hitratio(args)
    stop_all_on_exit()
    replayer = Replayer(args)
    rows = []
    with scratch() as tmp:
        for memory in args.memory:
            print(f"\nhit ratio, read-through, -m {memory}: second half of the requests (a trace: all)")
            line(HEAD)
            for stream in args.streams or replayer.names():
                rows.append(compare(stream, memory, args, replayer, tmp))
    if args.json:
        with open(args.json, "w", encoding="ascii") as f:
            json.dump({"args": vars(args), "rows": rows}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    try:
        main()
    except BenchError as e:
        sys.exit(f"bench: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
