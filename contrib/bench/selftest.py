#!/usr/bin/python3
"""Does kvload notice? TAP: a small server that lies in one way per case.

What every measurement and fault test rests on is that a wrong value cannot pass
kvload unseen, so each kind of lie must be counted under its own name, and an
honest server must not be accused.
"""
import itertools
import json
import os
import socketserver
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EVERY = 10      # each tenth read is lied to
STALL = 0.4     # seconds
SILENT = ["--timeout", "1000", "--requests", "80"]  # no busy machine takes so long to answer


class Classic:
    """How memcached says it; an item is (flags, data)."""
    stored, error, nothing = b"STORED\r\n", b"SERVER_ERROR out of luck\r\n", b"END\r\n"

    @staticmethod
    def value(key, item):
        return b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (key, item[0], len(item[1]), item[1])


class Resp:
    """How Redis says it."""
    stored, error, nothing = b"+OK\r\n", b"-OOM out of luck\r\n", b"$-1\r\n"

    @staticmethod
    def value(_, item):
        return b"$%d\r\n%s\r\n" % (len(item[1]), item[1])


def flip(data):
    return data[:50] + bytes([data[50] ^ 1]) + data[51:]


class Lies:
    """One method per lie: what is answered for key, its item, another item."""

    def __init__(self, dialect):
        self.say = dialect

    def none(self, key, item, other):
        return self.say.value(key, item)

    def bit(self, key, item, other):
        return self.say.value(key, (item[0], flip(item[1])))

    def other_value(self, key, item, other):
        return self.say.value(key, (item[0], other[1]))

    def tail_of_other(self, key, item, other):
        return self.say.value(key, (item[0], item[1][:-20] + other[1][-20:]))

    def other_key(self, key, item, other):
        return self.say.value(key[:-1] + bytes([(key[-1] ^ 1)]), item)

    def flags(self, key, item, other):
        return self.say.value(key, (item[0] ^ 1, item[1]))

    def shorter(self, key, item, other):
        return self.say.value(key, (item[0], item[1][:-5]))

    def twice(self, key, item, other):
        return self.say.value(key, item) * 2

    def rubbish(self, key, item, other):
        return b"\0\1 no reply\r\n"

    def meta(self, key, item, other):
        return b"HD\r\n"

    def number(self, key, item, other):
        return b":1\r\n"

    def ok(self, key, item, other):
        return b"+OK\r\n"

    def array(self, key, item, other):
        return b"*1\r\n" + self.say.value(key, item)

    def long(self, key, item, other):
        return b"$%d\r\n%s\r\n" % (len(item[1]) - 1, item[1])

    def error(self, key, item, other):
        return self.say.error

    def miss(self, key, item, other):
        return self.say.nothing

    def close(self, key, item, other):
        return None

    def half(self, key, item, other):
        return self.say.value(key, item)[:60], None

    def silence(self, key, item, other):
        return b""

    def stall(self, key, item, other):
        time.sleep(STALL)           # one connection only: no other waits
        return self.say.value(key, item)

    def old(self, key, item, other):
        return self.say.value(key, item)    # the server gives it the first version


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            while self.one():
                pass
        except (ConnectionError, ValueError):
            pass

    def one(self):
        line = self.rfile.readline()
        if line.startswith(b"*"):
            words = [self.string() for _ in range(int(line[1:]))]
            if words[0] == b"SET":
                return self.store(Resp, words[1], (0, words[2]))
            return self.read(Resp, words[1:], b"*%d\r\n" % len(words[1:])
                             if words[0] == b"MGET" else b"")
        words = line.split()
        if words and words[0] == b"set":
            data = self.rfile.read(int(words[4]) + 2)[:-2]
            return self.store(Classic, words[1], (int(words[2]), data))
        return bool(words) and self.read(Classic, words[1:], b"")

    def string(self):
        return self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2]

    def store(self, dialect, key, item):
        with self.server.lock:
            self.server.first.setdefault(key, item)
            self.server.items[key] = item
        self.wfile.write(dialect.stored)
        return True

    def read(self, dialect, keys, head):
        """Of several keys the lie is about the first."""
        server, key = self.server, keys[0]
        with server.lock:
            server.reads += 1
            lie = server.reads % server.every == 0
            server.lies += lie
            item = server.items[key]
            other = next(v for k, v in server.items.items() if k != key)
            rest = [server.items[k] for k in keys[1:]]
            if lie and server.lie == "old":
                item = server.first[key]
        name = server.lie if lie else "none"
        answer = getattr(Lies(dialect), name)(key, item, other)
        if answer is None:
            return False
        if isinstance(answer, tuple):
            self.wfile.write(head + answer[0])
            return False
        if answer:
            self.wfile.write(head + answer + b"".join(map(dialect.value, keys[1:], rest)))
        return True


class LyingServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, lie, every):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lie, self.every, self.lock = lie, every, threading.Lock()
        self.items, self.first, self.reads, self.lies = {}, {}, 0, 0


def run(kvload, lie, args, every=EVERY):
    """kvload's exit status, its JSON, how many lies it was told."""
    with LyingServer(lie, every) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,),
                                  daemon=True)
        thread.start()
        done = subprocess.run(
            [kvload, "--prefill", "--keys", "200", "--conns", "4", "--requests",
             "300", "--reconnect", "--json"] + args +
            [f"127.0.0.1:{server.server_address[1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120,
            check=False)
        server.shutdown()
        thread.join()
        return done.returncode, json.loads(done.stdout or b"{}"), server.lies


CASES = [   # lie, more arguments, exit status, the counter that must have it
    ("none", [], 0, None),
    ("none", ["--ratio", "50:50", "--check-stale"], 0, None),
    ("none", ["--values-fixed", "--ratio", "50:50"], 0, None),
    ("bit", [], 1, "body"),
    ("bit", ["--values-fixed"], 1, "body"),
    ("other_value", [], 1, "key"),
    ("tail_of_other", [], 1, "body"),
    ("other_key", [], 1, "key"),
    ("flags", [], 1, "flags"),
    ("shorter", [], 1, "length"),
    ("twice", [], 1, "protocol"),
    ("rubbish", [], 1, "protocol"),
    ("meta", [], 1, "protocol"),
    ("old", ["--ratio", "50:50", "--check-stale"], 1, "stale"),
    ("error", [], 3, "errors"),
    ("error", ["--expect-errors"], 0, "errors"),
    ("none", ["--no-flags"], 0, None),
    ("flags", ["--no-flags"], 1, "flags"),
    ("miss", [], 0, "misses"),
    ("close", [], 3, "lost"),
    ("half", ["--expect-errors"], 0, "lost"),
    ("silence", SILENT, 3, "timeouts"),
] + [(lie, ["--resp"] + args, status, counter) for lie, args, status, counter in [
    ("none", [], 0, None),
    ("none", ["--ratio", "50:50", "--check-stale", "--exptime", "9"], 0, None),
    ("none", ["--depth", "7", "--multi", "5"], 0, None),
    ("bit", [], 1, "body"),
    ("bit", ["--multi", "5"], 1, "body"),
    ("other_value", [], 1, "key"),
    ("other_value", ["--multi", "5"], 1, "key"),
    ("tail_of_other", [], 1, "body"),
    ("shorter", [], 1, "length"),
    ("long", [], 1, "protocol"),
    ("twice", [], 1, "protocol"),
    ("twice", ["--multi", "5"], 1, "protocol"),
    ("rubbish", [], 1, "protocol"),
    ("number", [], 1, "protocol"),
    ("number", ["--multi", "5"], 1, "protocol"),
    ("ok", [], 1, "protocol"),
    ("array", [], 1, "protocol"),
    ("array", ["--multi", "5"], 1, "protocol"),
    ("old", ["--ratio", "50:50", "--check-stale"], 1, "stale"),
    ("error", [], 3, "errors"),
    ("error", ["--multi", "5"], 1, "protocol"),
    ("error", ["--expect-errors"], 0, "errors"),
    ("miss", [], 0, "misses"),
    ("miss", ["--multi", "5"], 0, "misses"),
    ("close", [], 3, "lost"),
    ("half", ["--expect-errors"], 0, "lost"),
    ("silence", SILENT, 3, "timeouts"),
]]


def lies(kvload):
    """(name, whether kvload noticed, what it said) of each case."""
    for lie, args, status, counter in CASES:
        got, out, told = run(kvload, lie, args)
        counts = {**out, **out.get("wrong_kinds", {})}
        seen = counts.get(counter, 0) if counter else 0
        # old values may happen to be the newest; all other lies must be caught
        well = got == status and (not counter and out.get("wrong") == 0 or
                                  counter and 0 < seen <= told and
                                  (seen == told or lie == "old"))
        yield (f"{lie} {' '.join(args)}", well,
               f"status {got}, not {status}; {told} lies, {counter} {seen}, "
               f"wrong {out.get('wrong_kinds')}")


def stalls(kvload):
    """
    The 45th of a hundred reads due every 2 ms takes STALL: all that were due meanwhile have waited, too, so that
    more than half have a latency of nearly that, though the server was slow only once or twice.
    """
    for args in ([], ["--resp"]):
        args = args + ["--conns", "1", "--rate", "500", "--requests", "100"]
        got, out, told = run(kvload, "stall", args, every=45)
        p50 = out.get("latency_us", {}).get("p50", 0)
        yield (f"stall {' '.join(args)}", got == 0 and told == 2 and p50 > 0.7e6 * STALL,
               f"status {got}, {told} stalls, p50 {p50} us")


def main():
    kvload = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "kvload")
    print(f"1..{len(CASES) + 2}")
    failed = 0
    for n, (name, well, said) in enumerate(itertools.chain(lies(kvload), stalls(kvload)), 1):
        failed += not well
        print(f"{'ok' if well else 'not ok'} {n} - {name}")
        if not well:
            print(f"# {said}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
