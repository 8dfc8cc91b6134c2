"""One run of kvload against a server, and the clocks around it."""
import json
import os
import subprocess

from servers import BenchError, before_redis, flavour, pin

RUN_DEADLINE = 600


def dialect(server, size, kind):
    """
    What kvload has to be told for this server to be asked for keys of that kind: None, or, of what lies in a Redis,
    "raw" or "item". Keys of both kinds are equally long, and nutcracker, which knows no items, has plain strings for both.
    """
    words = []
    if flavour(server.path) == "redis" or \
            flavour(server.path) == "nutcracker" and before_redis(server.backends):
        words.append("--resp")
    elif kind == "raw":
        words.append("--no-flags")
    elif kind == "item":
        return ["--key-prefix", f"i{size}:"]
    return words + ["--key-prefix", f"s{size}:"]


class Load:
    """Runs kvload with what all runs of a bench have in common."""

    def __init__(self, path, core, conns, keys, unix=False):
        self.path = path
        self.unix = unix
        self.core = core
        self.common = ["--conns", str(conns), "--keys", str(keys),
                       "--key-size", "20", "--json"]

    def _run(self, args, server):
        command = [self.path] + self.common + args + [server.unix if self.unix else server.target]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=RUN_DEADLINE,
                                  preexec_fn=pin(self.core), check=False)
        except OSError as e:
            raise BenchError(f"cannot run {self.path}: {e.strerror}") from e
        except subprocess.TimeoutExpired as e:
            raise BenchError(f"no end of: {' '.join(command)}") from e
        if done.returncode != 0:
            raise BenchError(
                f"kvload ended with {done.returncode} on {server.path}: "
                f"{' '.join(command)}\n{done.stderr.decode('utf-8', 'replace')}"
                f"{done.stdout.decode('utf-8', 'replace')}"
                f"{'' if server.alive() else server.log_tail()}")
        return json.loads(done.stdout)

    def fill(self, server, size, kind=None):
        self._run(["--prefill-only", "--size", str(size)] + dialect(server, size, kind), server)

    def run(self, server, size, args, seed=1, kind=None):
        """args say what and how long; figures are microseconds per request."""
        r = self._run(["--size", str(size)] + dialect(server, size, kind) + args + [
            "--cpu-of", str(server.pid), "--seed", str(seed)], server)
        if "server_cpu" not in r:
            raise BenchError("the CPU clock of another process cannot be read")
        if r["requests"] == 0:
            raise BenchError(f"{server.path} answered nothing")
        return {
            "cpu_us": r["server_cpu"] * 1e6 / r["requests"],
            "load_cpu_us": r["cpu"] * 1e6 / r["requests"],
            "server_busy": r["server_cpu"] / r["seconds"],
            "load_busy": r["cpu"] / r["seconds"],
            "rate": r["rate"],
            "misses": r["misses"],
            "reads": r["reads"],
            "errors": r["errors"] + r["lost"] + r["unsent"],
            "error_texts": {**r["error_texts"], **{
                k: r[k] for k in ("lost", "unsent") if r[k] > 0}},
            "seconds": r["seconds"],
            "latency_us": r["latency_us"],
        }


class CoreWatch:
    """How much of a core was used by others than the process measured there."""

    def __init__(self, core):
        self.core = core
        self.others = 0.0
        self.total = 0.0
        self._at = None

    def _busy(self):
        tick = os.sysconf("SC_CLK_TCK")
        with open("/proc/stat", encoding="ascii") as f:
            for line in f:
                if line.startswith(f"cpu{self.core} "):
                    v = [int(x) for x in line.split()[1:9]]
                    return (sum(v) - v[3] - v[4]) / tick
        return 0.0

    def begin(self):
        self._at = self._busy()

    def end(self, seconds, own):
        self.others += max(0.0, self._busy() - self._at - own)
        self.total += seconds

    def share(self):
        return self.others / self.total if self.total else 0.0
