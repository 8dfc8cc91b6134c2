#!/usr/bin/python3
"""Does hitratio count what it says, and notice what is wrong? TAP: a small server without any bounds, and its lies.

Against a server that forgets nothing every key is missed exactly once, whatever the window: that is what "read-through"
and "in order" mean. Traces are given with what they must count, and spoilt.
"""
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.abspath(__file__))
EVERY = 10      # each tenth value is a lie


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self):
        try:
            while self.one():
                self.wfile.flush()
        except (ConnectionError, ValueError):
            pass

    def one(self):
        words = self.rfile.readline().split()
        if not words:
            return False
        return getattr(self, words[0].decode())(words[1:])

    def set(self, words):
        data = self.rfile.read(int(words[3]) + 2)[:-2]
        self.server.sets += 1
        if self.server.lie == "refuse":
            self.wfile.write(b"SERVER_ERROR out of memory storing object\r\n")
            return True
        self.server.ttls.append(int(words[2]))
        self.server.first.setdefault(words[0], (int(words[1]), data))
        self.server.items[words[0]] = (int(words[1]), data)
        self.wfile.write(b"STORED\r\n")
        return True

    def get(self, keys):
        for key in keys:
            item = self.server.items.get(key)
            if item is None:
                continue
            self.server.reads += 1
            if self.server.reads % EVERY == 0:
                item = self.lie_about(key, item)
                if item is None:
                    return False
            self.wfile.write(b"VALUE %s %d %d\r\n%s\r\n" % (key, item[0], len(item[1]), item[1]))
        self.wfile.write(b"END\r\n")
        return True

    def lie_about(self, key, item):
        lie, (flags, data) = self.server.lie, item
        if lie == "bit" and len(data) > 20:
            return flags, data[:20] + bytes([data[20] ^ 1]) + data[21:]
        if lie == "cut":
            return flags, data[:-1]
        if lie == "other":
            return flags, next(v for k, v in self.server.items.items() if k != key)[1]
        if lie == "flags":
            return flags ^ 1, data
        if lie == "old":
            return self.server.first[key]
        if lie == "rubbish":
            self.wfile.write(b"WHAT\r\n")
        return None if lie in ("rubbish", "close") else item

    def delete(self, words):
        there = self.server.items.pop(words[0], None) is not None
        self.wfile.write(b"DELETED\r\n" if there else b"NOT_FOUND\r\n")
        return True

    def flush_all(self, _):
        self.server.items.clear()
        self.wfile.write(b"OK\r\n")
        return True

    def stats(self, _):
        self.wfile.write(b"STAT curr_items %d\r\nSTAT evictions 0\r\nSTAT limit_maxbytes 1048576\r\nEND\r\n"
                         % len(self.server.items))
        return True


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, lie=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lie, self.items, self.first, self.ttls = lie, {}, {}, []
        self.reads = self.sets = 0


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def ok(self, well, name, *about):
        self.count += 1
        self.failed += not well
        print(f"{'ok' if well else 'not ok'} {self.count} - {name}")
        if not well:
            print("".join(f"# {a}\n" for a in about), end="")


def run(tool, args, lie=None):
    """Exit status, JSON, stderr, the server as it was left."""
    with Server(lie) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        done = subprocess.run([tool, "--json"] + args + [f"127.0.0.1:{server.server_address[1]}"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
        server.shutdown()
        thread.join()
    return done.returncode, json.loads(done.stdout or b"{}"), done.stderr.decode(), server


def counts(tap, tool):
    small = ["--scale", "0.01", "--requests", "6000"]
    seen = {}
    for stream in ("zipf0.99", "scan", "shift", "drift-fast"):
        for window in ("1", "32", "256"):
            status, out, err, server = run(tool, small + ["--window", window, stream])
            tap.ok(status == 0 and out["sets"] == len(server.items) == out["items"] and
                   out["hit_ratio_all"] == round(1 - out["sets"] / 6000, 6),
                   f"{stream}, window {window}: each key is missed once", status, out, err)
            tap.ok(seen.setdefault(stream, out["hits"]) == out["hits"],
                   f"{stream}, window {window}: the hits do not depend on it", out, seen)
    status, out, _, server = run(tool, small + ["overwrite"])
    tap.ok(status == 0 and 1400 < out["gets"] < 1600 and server.sets == out["sets"],
           "overwrite: half of the requests are sets", out, server.sets)
    one, two = (run(tool, small + ["zipf0.8", "--seed", s])[1]["hits"] for s in "12")
    tap.ok(one != two, "another seed is another sequence", one, two)
    status, out, err, server = run(tool, ["--scale", "0.01", "--requests", "3000", "--speed", "100", "ttl"])
    tap.ok(status == 0 and {0, 36, 864} <= set(server.ttls) and max(server.ttls) == 864,
           "ttl: TTLs are as much shorter as the clock is faster", status, err, sorted(set(server.ttls)))


def lies(tap, tool):
    small = ["--scale", "0.01", "--requests", "3000"]
    for lie, stream, status, said in (
            ("bit", "zipf0.99", 1, "not its value"), ("cut", "zipf0.99", 1, "not its value"),
            ("other", "fixed100", 1, "not its value"), ("flags", "zipf0.99", 1, "other flags"),
            ("old", "overwrite", 1, "not the value that was stored last"), ("rubbish", "zipf0.99", 3, "not a reply"),
            ("close", "zipf0.99", 3, "closed the connection"), ("refuse", "zipf0.99", 0, "")):
        got, out, err, _ = run(tool, small + [stream], lie)
        well = got == status and said in err and (status != 1 or out["wrong"] > 0)
        if lie == "refuse":
            well = well and out["hits"] == 0 and out["refused"] == out["sets"] == 3000
        tap.ok(well, f"{lie}: {said or 'counted'}", got, out, err)


HEADER = "timestamp,anonymized key,key size,value size,client id,operation,TTL\n"
TRACES = [  # name, text, gets, hits, sets
    ("five columns", "0,a,100,get,0\n0,a,100,get,0\n1,b,10,set,5\n1,b,10,get,5\n", 3, 2, 2),
    ("seven columns", "0,a,1,100,1,get,0\n0,b,1,100,1,get,0\n1,a,1,100,1,gets,0\n", 3, 1, 2),
    ("a header", HEADER + "7,a,1,100,1,get,0\n7,a,1,100,1,get,0\n", 2, 1, 1),
    ("a header and \\r\\n", "time,key,size,op,ttl\r\n7,a,100,get,0\r\n8,a,100,get,0", 2, 1, 1),
    ("a delete", "0,a,9,get,0\n0,a,0,delete,0\n0,a,9,get,0\n0,a,9,get,0\n", 3, 1, 2),
    ("whatever stores", "0,a,9,add,0\n0,b,9,replace,0\n0,c,9,cas,0\n0,d,9,append,0\n0,e,9,prepend,0\n0,f,9,incr,0\n"
     "0,g,9,decr,0\n0,a,20,set,0\n0,a,0,get,0\n", 1, 1, 8),
    ("fractions of seconds", "0.5,a,100,get,0\n1.25,a,100,get,0\n", 2, 1, 1),
]
SPOILT = [  # text, where it is told, what
    ("0,a,100,get,0\n0,a,100,get\n", 2, "columns"),
    ("0,a,100,get,0\n0,a,1,100,1,get,0\n", 2, "as many columns as before"),
    ("0,a,100,get,0\n\n", 2, "columns"),
    ("0,a,100,get,0\nx,a,100,get,0\n", 2, "timestamp"),
    ("time,key,size,op,ttl\ntime,key,size,op,ttl\n", 2, "timestamp"),
    ("5,a,100,get,0\n4,a,100,get,0\n", 2, "before the last one"),
    ("0,,100,get,0\n", 1, "key"),
    ("0,a b,100,get,0\n", 1, "key"),
    (f"0,{'k' * 251},100,get,0\n", 1, "key"),
    ("0,a,16777217,get,0\n", 1, "size"),
    ("0,a,-1,get,0\n", 1, "size"),
    ("0,a,100,got,0\n", 1, "operation"),
    ("0,a,100,get,\n", 1, "TTL"),
    ("0,a,100,get,4294967296\n", 1, "TTL"),
]


def traces(tap, tool, folder):
    path = os.path.join(folder, "trace.csv")

    def replay(text):
        with open(path, "w", encoding="ascii", newline="") as f:
            f.write(text)
        return run(tool, ["--trace", path])

    for name, text, gets, hits, sets in TRACES:
        status, out, err, _ = replay(text)
        got = (out.get("gets"), out.get("hits"), out.get("sets"))
        tap.ok(status == 0 and got == (gets, hits, sets), f"a trace: {name}", status, got, err)
    for text, line, said in SPOILT:
        status, _, err, _ = replay(text)
        tap.ok(status == 2 and f"{path}:{line}: " in err and said in err, f"a spoilt trace, line {line}: {said}",
               status, err)
    for text in ("", "time,key,size,op,ttl\n"):
        status, _, err, _ = replay(text)
        tap.ok(status == 2 and "has no requests" in err, "a trace of nothing", status, err)
    status, _, err, server = replay("0,a,100,set,9\n0,a,0,delete,0\n0,a,0,get,0\n")
    tap.ok(status == 0 and server.ttls == [9, 9] and len(server.items[b"a"][1]) == 100,
           "a get without size and TTL means those of its key", status, err, server.ttls)
    status, _, err, _ = run(tool, ["--trace", os.path.join(folder, "none")])
    tap.ok(status == 2 and "No such file" in err, "a trace that is not there", status, err)


def main():
    tool = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "hitratio")
    tap = Tap()
    counts(tap, tool)
    lies(tap, tool)
    with tempfile.TemporaryDirectory(prefix="kvgate-bench-") as folder:
        traces(tap, tool, folder)
    status, _, err, _ = run(tool, ["nothing"])
    tap.ok(status == 2 and "no such stream" in err, "a stream that there is not", status, err)
    print(f"1..{tap.count}")
    return tap.failed > 0


if __name__ == "__main__":
    sys.exit(main())
