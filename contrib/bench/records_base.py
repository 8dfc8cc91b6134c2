"""What the benches of records share: a kvgate on an embedded store, a client that does not parse, lines of figures."""
import os
import shutil
import socket
import sys
import time

# pylint: disable=wrong-import-position
from measure import Load
from servers import BenchError, HERE, Server

sys.path.insert(0, os.path.join(HERE, "..", "python"))
import kvgate

SERVER_CORE, LOAD_CORE = 0, 1
MB = 1 << 20


def conf(path, durability="none", local="0s", more="", cache="512MB", redis=None):
    """redis: a server; then the items lie there."""
    store = f'type = redis  servers = {{ "{redis.target}" }}  timeout = 60s' if redis else \
        f'type = rocksdb  path = "{path}"  block_cache = {cache}  durability = {durability}'
    primary = 'primary { store = "disk"  format = item }'
    return f"""\
store "disk" {{ {store} }}
namespace "default" {{ prefix = ""    {primary}  local {{ ttl = {local} }} }}
namespace "r"       {{ prefix = "r:"  item_separator = "/"  {primary}  local {{ ttl = 0s }} {more} }}
"""


class Wire:
    """A connection that only waits for the end of an answer: parsing in Python would cost more than what is measured."""

    def __init__(self, server):
        self.sock = socket.create_connection(("127.0.0.1", server.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.room = bytearray(20 * MB)

    def ask(self, line, last):
        """Sends a line; returns seconds until an answer with a last line that begins so is there, and its bytes."""
        view = memoryview(self.room)
        start = time.perf_counter()
        self.sock.sendall(line)
        size = 0
        while True:
            n = self.sock.recv_into(view[size:])
            if not n:
                raise BenchError("kvgate closed the connection")
            size += n
            if self._is_over(size, last):
                return time.perf_counter() - start, size

    def _is_over(self, size, last):
        if self.room[size - 2:size] != b"\r\n":
            return False
        begin = max(self.room.rfind(b"\n", max(0, size - 4096), size - 2) + 1, 0)
        line = bytes(self.room[begin:size])
        if b"_ERROR" in line or line == b"ERROR\r\n":
            raise BenchError(f"kvgate says {line.decode('latin1').strip()}")
        return line.startswith(last)

    def close(self):
        self.sock.close()


class Bench:
    def __init__(self, args, tmp):
        self.args = args
        self.tmp = tmp
        self.path = os.path.join(args.dir or tmp, "data")
        self.load = Load(args.kvload, LOAD_CORE, 1, args.keys)

    def server(self, fresh=True, **options):
        if fresh:
            shutil.rmtree(self.path, ignore_errors=True)
        return Server(self.args.kvgate, SERVER_CORE, tmp=self.tmp, conf=conf(self.path, **options))

    def records(self, server):
        return kvgate.Client(server.target, timeout=120, compress=False).namespace("r")


def fill(space, record, count, size, first=0):
    """Items of one record, as many in a put as go."""
    value = b"v" * size
    step = max(1, min(10_000, 4 * MB // (size + 16)))
    for n in range(first, first + count, step):
        space.put(record, {b"%08d" % k: value for k in range(n, min(n + step, first + count))})


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def line(name, figure, goal, good):
    print(f"  {name:44} {figure:>26}   {'ok' if good else '!':2} goal {goal}", flush=True)


def stats(server, what="kvgate"):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(f"stats {what}\r\nquit\r\n".encode())
        text = s.makefile("rb").read().decode("latin1")
    return dict(words[1:] for words in (row.split(" ", 2) for row in text.split("\r\n")) if words[0] == "STAT")
