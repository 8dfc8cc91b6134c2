#!/usr/bin/python3
"""Does delay delay, in order, and count right? TAP; a small server behind it answers.

Only lower bounds of times are looked at, which a busy machine does not break.
"""
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            while self.one():
                pass
        except ConnectionError:
            pass

    def one(self):
        words = self.rfile.readline().split()
        if not words or words[0] == b"quit":
            return False
        if words[0] in (b"set", b"ms"):
            self.rfile.read(int(words[4 if words[0] == b"set" else 2]) + 2)
            self.wfile.write(b"STORED\r\n" if words[0] == b"set" else b"HD\r\n")
        elif words[0] == b"get":
            self.wfile.write(b"".join(b"VALUE %s 0 5\r\nEND\r\n\r\n" % k for k in words[1:]) + b"END\r\n")
        elif words[0] == b"mg":
            self.wfile.write(b"VA 5 k%s\r\nVA 1\n\r\n" % words[1])
        else:
            self.wfile.write(b"MN\r\n" if words[0] == b"mn" else b"VERSION 1\r\n")
        return True


class Backend(socketserver.ThreadingTCPServer):
    daemon_threads = True


class Delay:
    """The program, started in front of the backend."""

    def __init__(self, path, backend):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [path, f"127.0.0.1:{backend.server_address[1]}"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def counts(self):
        return {k: int(v) for k, v in re.findall(r"(\w+) (\d+)", self.say("count"))}

    def client(self):
        s = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s


def receive(s, length):
    data = b""
    while len(data) < length:
        piece = s.recv(length - len(data))
        if not piece:
            break
        data += piece
    return data


def get(key):
    return b"get %s\r\n" % key, b"VALUE %s 0 5\r\nEND\r\n\r\nEND\r\n" % key


def timed(client, key):
    """How long a get took; whether the answer was right."""
    ask, answer = get(key)
    began = time.monotonic()
    client.sendall(ask)
    right = receive(client, len(answer)) == answer
    return time.monotonic() - began, right


MIX = [     # asked, answered, reads, writes, others, replies
    (*get(b"a"), 1, 0, 0, 1),
    (b"get a b\r\n", b"VALUE a 0 5\r\nEND\r\n\r\nVALUE b 0 5\r\nEND\r\n\r\nEND\r\n", 2, 0, 0, 1),
    (b"set x 0 0 7\r\nget a\r\n\r\n", b"STORED\r\n", 0, 1, 0, 1),
    (b"ms x 6\r\nmg a v\r\n", b"HD\r\n", 0, 1, 0, 1),
    (b"mg  abc v k\r\nmn\r\n", b"VA 5 kabc\r\nVA 1\n\r\nMN\r\n", 1, 0, 1, 2),
    (b"version\r\n", b"VERSION 1\r\n", 0, 0, 1, 1),
]
KINDS = ("reads", "writes", "others", "replies")


def counted(delay, pieces):
    """All of MIX passes unchanged, and each is counted as what it is."""
    before = delay.counts()
    with delay.client() as s:
        for asked, answered, *_ in MIX:
            for i in range(0, len(asked), pieces):
                s.sendall(asked[i:i + pieces])
            if receive(s, len(answered)) != answered:
                return False
    after = delay.counts()
    return [after[k] - before[k] for k in KINDS] == \
        [sum(row[2 + i] for row in MIX) for i in range(len(KINDS))]


def pipelined(delay, n, mode):
    """The answers to n reads in one write, as they came; how many of them were delayed."""
    before = delay.counts()["delayed"]
    asked, answered = zip(*[get(b"k%d" % i) for i in range(n)])
    delay.say(mode)
    with delay.client() as s:
        s.sendall(b"".join(asked))
        came = receive(s, len(b"".join(answered)))
    delay.say("off")
    return came == b"".join(answered), delay.counts()["delayed"] - before


def stalled(delay):
    """Nothing comes, though it was asked for; all comes when that is over."""
    ask, answer = get(b"a")
    with delay.client() as s:
        timed(s, b"b")
        before = delay.counts()["reads"]
        delay.say("stall")
        s.sendall(ask)
        s.settimeout(0.2)
        try:
            silent = s.recv(1) is None
        except socket.timeout:
            silent = True
        s.settimeout(PATIENCE)
        asked = delay.counts()["reads"] - before
        delay.say("off")
        return silent and asked == 1 and receive(s, len(answer)) == answer


def slower(delay):
    delay.say("slower 1000")
    began = time.monotonic()
    with delay.client() as s:
        time.sleep(0.1)
        age = time.monotonic() - began
        took, right = timed(s, b"a")
    delay.say("off")
    return right and took >= age


def delayed(delay):
    delay.say("delay 100 150")
    with delay.client() as s:
        took, right = timed(s, b"a")
    delay.say("off")
    with delay.client() as s:
        return right and took >= 0.15 and timed(s, b"b")[1]


def closed(delay):
    with delay.client() as s:
        s.sendall(b"quit\r\n")
        return s.recv(1) == b""


def cases(delay):
    yield "all passes and is counted, whole lines", counted(delay, 1000)
    yield "all passes and is counted, byte by byte", counted(delay, 1)
    yield "every reply waits", delayed(delay)
    right, late = pipelined(delay, 1000, "delay 10 5")
    yield "replies stay in order, about one in ten late", right and 70 <= late <= 130
    right, late = pipelined(delay, 100, "delay 0 5")
    yield "none late", right and late == 0
    yield "a stall", stalled(delay)
    yield "ever slower", slower(delay)
    yield "an end is handed on", closed(delay)
    yield "what it does not know", delay.say("delay 200 1") == "unknown"


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "delay")
    failed = n = 0
    with Backend(("127.0.0.1", 0), Handler) as backend:
        threading.Thread(target=backend.serve_forever, args=(0.01,), daemon=True).start()
        delay = Delay(path, backend)
        for n, (name, well) in enumerate(cases(delay), 1):
            failed += not well
            print(f"{'ok' if well else 'not ok'} {n} - {name}")
        delay.process.stdin.close()
        n += 1
        well = delay.process.wait(PATIENCE) == 0
        failed += not well
        print(f"{'ok' if well else 'not ok'} {n} - ends with its stdin\n1..{n}")
        backend.shutdown()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
