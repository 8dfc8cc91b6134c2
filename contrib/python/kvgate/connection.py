"""
A connection to a kvgate that never blocks: who waits for several of them polls for what each wants.

    Connection(address); send(request, answer)
    poll: POLLOUT while wants_write, POLLIN always -> advance() -> answers are done in the order of their requests

Connecting, sending and receiving all happen in advance(), so that a second connection can be tried while the first is
late. One thread at a time.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque

from .answer import Answer, Buffer
from .errors import ConnectionLost, KvgateError

__all__ = ["Address", "Connection", "parse_address"]

Address = tuple[str, int] | str     # host and port, or the path of a unix socket

_RECEIVE = 256 * 1024


def parse_address(text: str) -> Address:
    """ "host:port", "[::1]:port", "/path" or "unix:/path"; ValueError if it is none of these."""
    if text.startswith("unix:"):
        return text[5:]
    if text.startswith("/"):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"no address such as host:port or /path: {text!r}")
    return host.strip("[]"), int(port)


class Connection:
    """See above. Any failure raises ConnectionLost, after which the connection is of no use; close() is always good."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connected = False
        self.pending: deque[Answer] = deque()       # in the order of their requests
        self._buffer = Buffer()
        self._out: deque[memoryview] = deque()      # stays as it is when sending has failed
        self._failed: OSError | None = None         # in sending: what the server has said before may still come
        self._sock: socket.socket | None = None
        self._ways = self._resolve()
        self._connect()

    def _resolve(self) -> deque[tuple[int, tuple[str, int] | str]]:
        if isinstance(self.address, str):
            return deque([(int(socket.AF_UNIX), self.address)])
        try:
            found = socket.getaddrinfo(*self.address, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as e:
            raise ConnectionLost(f"{self.name}: {getattr(e, 'strerror', None) or e}") from e
        return deque((int(family), where) for family, _, _, _, where in found)   # type: ignore[misc]

    def _connect(self) -> None:
        """Begins a connection over the next of the ways that the address has."""
        error: OSError | None = None
        while self._ways:
            family, where = self._ways.popleft()
            self.close()
            try:
                self._sock = socket.socket(family, socket.SOCK_STREAM)
                self._sock.setblocking(False)
                if family != socket.AF_UNIX:
                    self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sock.connect(where)
                self.connected = True
                return
            except BlockingIOError:
                if family != socket.AF_UNIX:
                    return      # under way; a unix socket says so when its queue is full, and never again
                error = OSError("its queue is full")
            except OSError as e:
                error = e
        self.close()
        raise ConnectionLost(f"{self.name}: {(error and error.strerror) or error}") from error

    def try_next(self, why: str) -> None:
        """The connection is not there yet: tries the next of the ways that the address has, if there is one."""
        if not self._ways:
            self._lost(why)
        self._connect()

    @property
    def name(self) -> str:
        """The address, for people."""
        return self.address if isinstance(self.address, str) else "%s:%d" % self.address

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def fileno(self) -> int:
        return -1 if self._sock is None else self._sock.fileno()

    @property
    def wants_write(self) -> bool:
        return not self.connected or bool(self._out)

    def send(self, request: bytes, answer: Answer) -> None:
        """The request goes out as advance() can; answer is done when it has come, behind those before it."""
        self.pending.append(answer)
        self._out.append(memoryview(request))
        if self.connected:
            self._flush()

    def advance(self) -> None:
        """Does what can be done at once."""
        if self._sock is None:
            raise ConnectionLost(f"{self.name}: closed")
        if not self.connected and not self._finish_connect():
            return
        self._flush()
        self._receive()
        if self._failed is not None:
            self._lost(self._failed.strerror or str(self._failed), self._failed)

    def _finish_connect(self) -> bool:
        assert self._sock is not None
        if not poll_one(self._sock, select.POLLOUT):
            return False
        failed = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed == 0:
            self.connected = True
        elif self._ways:
            self._connect()
        else:
            self.close()
            raise ConnectionLost(f"{self.name}: {os.strerror(failed)}")
        return self.connected

    def _flush(self) -> None:
        assert self._sock is not None
        try:
            while self._out and self._failed is None:
                sent = self._sock.send(self._out[0])
                if sent == len(self._out[0]):
                    self._out.popleft()
                else:
                    self._out[0] = self._out[0][sent:]
        except BlockingIOError:
            return
        except OSError as e:
            self._failed = e

    def _receive(self) -> None:
        """Takes what is there and gives it to the answers that wait."""
        assert self._sock is not None
        try:
            data = self._sock.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError as e:
            self._lost(e.strerror or str(e), e)
            return
        if not data:
            self._lost("closed by the server")
        self._buffer.feed(data)
        while self.pending and self.pending[0].advance(self._buffer):
            self.pending.popleft()
        if len(self._buffer) > 0 and not self.pending:
            self._lost("it sent what nobody asked for")
        self._buffer.trim()

    def _lost(self, why: str, cause: OSError | None = None) -> None:
        self.close()
        raise ConnectionLost(f"{self.name}: {why}") from cause

    def usable(self) -> bool:
        """Whether a request can be sent on this connection, which has been idle; takes answers that have come."""
        if self._sock is None:
            return False
        try:
            if poll_one(self._sock, select.POLLIN):
                self.advance()
        except KvgateError:
            self.close()
            return False
        return True


def poll_one(sock: socket.socket, event: int) -> bool:
    """Whether that event, an error or the end is there, now."""
    poller = select.poll()
    poller.register(sock, event)
    return bool(poller.poll(0))
