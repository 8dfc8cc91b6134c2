"""Servers for the bench: started on free loopback ports, pinned, always stopped.

Which command line a program gets is decided by its file name, so that any of
them may stand in another's place: another build of kvgate, a newer memcached,
a nutcracker where kvgate is to proxy.
"""
import atexit
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
START_DEADLINE = 20.0
STOP_DEADLINE = 20.0
CONNECTIONS = 12000
TIMEOUT_MS = 10000      # of proxies: a busy machine is not what is measured
# Valgrind keeps 12 descriptors and refuses any other hard limit than what is left, which memcached
# takes whole for its clients and kvgate needs some of for itself.
DESCRIPTORS_WRAPPED = 512
CONNECTIONS_WRAPPED = {"memcached": 500, "kvgate": 400, "nutcracker": 400, "redis": 400}


class BenchError(Exception):
    """Something that makes going on pointless; its text is for the user."""


def raise_descriptor_limit():
    """Servers and load inherit it: ten thousand connections are wanted."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pin(core):
    """What a child does before it becomes the program; None: any core."""
    if core is None or core not in os.sched_getaffinity(0):
        return None
    return lambda: os.sched_setaffinity(0, {core})


def limit_wrapped():
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (DESCRIPTORS_WRAPPED, DESCRIPTORS_WRAPPED))


def process_cpu(pid):
    """CPU seconds of all threads of a process, by the scheduler's own clock."""
    return time.clock_gettime(~pid << 3 | 2)


def process_cpu_resolution(pid):
    return time.clock_getres(~pid << 3 | 2)


def process_rss(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise BenchError(f"no VmRSS for process {pid}")


def flavour(path):
    name = os.path.basename(path)
    for known in ("nutcracker", "memcached", "redis"):
        if known in name:
            return known
    return "kvgate"


def before_redis(backends):
    return any(flavour(b.path) == "redis" for b in backends)


class Server:
    """One running server. Use as a context manager, or call stop()."""

    live = []

    def __init__(self, path, core=None, backends=(), wrap=(), tmp=None, memory=1024,
                 timeout_ms=TIMEOUT_MS, store="", space="", conf=""):
        """timeout_ms is a proxy's; store, space: more for these sections of kvgate's configuration; conf: all of it."""
        self.path = path
        self.timeout_ms, self.store, self.space = timeout_ms, store, space
        self.conf = conf
        self.memory = memory    # MiB
        self.backends = list(backends)
        self.tmp = tmp
        self.port = free_port()
        self.unix = os.path.join(tmp, f"{self.port}.sock")      # where a kvgate with a configuration listens, too
        self.connections = CONNECTIONS_WRAPPED[flavour(path)] if wrap \
            else CONNECTIONS
        self.log = os.path.join(tmp, f"{flavour(path)}-{self.port}.log")
        command = list(wrap) + getattr(self, "_" + flavour(path))()
        # pylint: disable=consider-using-with
        with open(self.log, "wb") as log:
            try:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=limit_wrapped if wrap else pin(core))
            except OSError as e:
                raise BenchError(f"cannot run {command[0]}: {e.strerror}") from e
        self.pid = self.process.pid
        Server.live.append(self)
        self._wait_ready()

    def _root(self):
        return ["-u", "root"] if os.geteuid() == 0 else []

    def _common_options(self):
        return ["-t", "1", "-m", str(self.memory), "-c", str(self.connections)] + self._root()

    def _memcached_options(self):
        return ["-p", str(self.port), "-l", "127.0.0.1", "-U", "0"] + self._common_options()

    def _memcached(self):
        if self.backends:
            raise BenchError(f"{self.path} is no proxy")
        return [self.path] + self._memcached_options()

    def _redis(self):
        if self.backends:
            raise BenchError(f"{self.path} is no proxy")
        return [self.path, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", self.tmp, "--maxclients", str(self.connections)]

    def _kvgate(self):
        if not self.backends and not self.conf:
            return [self.path] + self._memcached_options()
        listens = f'listen "127.0.0.1:{self.port}" {{}}\nlisten "unix:{self.unix}" {{}}\n'
        return [self.path] + self._common_options() + [self._file("conf", listens + (self.conf or self._kvgate_conf()))]

    def _kvgate_conf(self):
        """Before a Redis: the keys that begin with an i are items, all others plain strings; a store each."""
        redis = before_redis(self.backends)
        servers = ", ".join(f'"127.0.0.1:{b.port} 1"' for b in self.backends)
        text = ""
        for store, space, prefix, form in (("fleet", "default", "", "raw"), ("items", "items", "i", "item")):
            text += f"""\
store "{store}" {{ type = {"redis" if redis else "memcached"}  servers = {{ {servers} }} distribution = ketama
                connect_timeout = {self.timeout_ms}ms  timeout = {self.timeout_ms}ms {self.store} }}
namespace "{space}" {{ prefix = "{prefix}" primary {{ store = "{store}" format = {form} }}
                      local {{ ttl = 0s }} {self.space} }}
"""
            if not redis:
                break
        return text

    def _nutcracker(self):
        if not self.backends:
            raise BenchError(f"{self.path} is only a proxy")
        servers = "".join(f"   - 127.0.0.1:{b.port}:1\n" for b in self.backends)
        conf = self._file("yml", f"""\
bench:
  listen: 127.0.0.1:{self.port}
  hash: fnv1a_64
  distribution: ketama
  redis: {"true" if before_redis(self.backends) else "false"}
  auto_eject_hosts: false
  timeout: {self.timeout_ms}
  server_connections: 1
  servers:
{servers}""")
        return [self.path, "-c", conf, "-o", self._name("out"), "-p",
                self._name("pid"), "-a", "127.0.0.1", "-s", str(free_port())]

    def _name(self, ending):
        return os.path.join(self.tmp, f"{self.port}.{ending}")

    def _file(self, ending, text):
        with open(self._name(ending), "w", encoding="ascii") as f:
            f.write(text)
        return self._name(ending)

    def _wait_ready(self):
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        text = self.log_tail()
        self.stop()
        raise BenchError(f"{self.path} does not answer on port {self.port}: {text}")

    def log_tail(self):
        with open(self.log, "rb") as f:
            return f.read()[-500:].decode("utf-8", "replace").strip()

    @property
    def target(self):
        return f"127.0.0.1:{self.port}"

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if self in Server.live:
            Server.live.remove(self)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class Delay:
    """What stands in front of a memcached, slows it and counts; delay.c says how. Stands for a server, too."""

    def __init__(self, path, backend, core=None):
        self.path = backend.path
        try:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                [path, backend.target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                preexec_fn=pin(core))
        except OSError as e:
            raise BenchError(f"cannot run {path}: {e.strerror}") from e
        self.port = int(self._answer("port").split()[1])
        Server.live.append(self)

    def _answer(self, beginning):
        line = self.process.stdout.readline()
        if not line.startswith(beginning):
            raise BenchError(f"delay: {line.strip() or 'it is gone'}")
        return line

    def _say(self, text, answer):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self._answer(answer)

    def be(self, mode):
        self._say(mode, "ok")

    def reads(self):
        """How many keys were read here since it was started."""
        return int(self._say("count", "reads ").split()[1])

    def stop(self):
        """The end of its input ends it."""
        if self in Server.live:
            Server.live.remove(self)
        self.process.stdin.close()
        self.process.wait(STOP_DEADLINE)
        self.process.stdout.close()


def stop_all(*_):
    for server in list(Server.live):
        server.stop()


def stop_all_on_exit():
    atexit.register(stop_all)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))


def scratch():
    return tempfile.TemporaryDirectory(prefix="kvgate-bench-")
