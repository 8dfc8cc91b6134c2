"""
The connections of a client, kept while nobody uses them.

Addresses are taken in the order given; one where no connection could be made, or that gave no answer in time, is taken
last for a while, each time longer. After a fork the child has connections of its own. A connection whose answer is not wanted any more, because another one was faster, waits aside until the answer has come, and is then
as good as any. Any thread; what take() returns belongs to the caller until give() or drop().
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Sequence

from .connection import Address, Connection
from .errors import ConnectionLost

__all__ = ["Pool"]

_AVOID_FOR = 1.0        # seconds, twice as many after each further failure, up to
_AVOID_MAX = 30.0
_LATE_MAX = 4           # connections that wait for answers nobody wants


class Pool:
    """idle_max: connections that are kept for each address while nobody uses them."""

    def __init__(self, addresses: Sequence[Address], idle_max: int = 128) -> None:
        self.addresses = tuple(addresses)
        self._idle_max = idle_max
        self._lock = threading.Lock()       # for all below; held for no longer than a poll takes
        self._idle: dict[Address, list[Connection]] = {address: [] for address in addresses}
        self._late: list[Connection] = []
        self._avoided: dict[Address, float] = {}        # until when
        self._failures: dict[Address, int] = {}         # one after the other
        self._pid = os.getpid()
        self._closed = False

    def take(self, unlike: Collection[Address] = ()) -> Connection:
        """
        A connection, perhaps still being made, to another address than these if there is one. ConnectionLost if there
        is none to be had.
        """
        if os.getpid() != self._pid:
            self._forked()
        error: ConnectionLost | None = None
        for address in self._order(unlike):
            conn = self._take_idle(address)
            if conn is not None:
                return conn
            try:
                return Connection(address)
            except ConnectionLost as e:
                self.avoid(address)
                error = e
        raise error or ConnectionLost("the client is closed")

    def _forked(self) -> None:
        """What is there is the parent's. This process has one thread yet."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        for conns in (*self._idle.values(), self._late):
            while conns:
                conns.pop().close()

    def _order(self, unlike: Collection[Address]) -> list[Address]:
        with self._lock:
            if self._closed:
                return []
            now = time.monotonic()
            return sorted(self.addresses, key=lambda a: (a in unlike, self._avoided.get(a, now) > now))

    def _take_idle(self, address: Address) -> Connection | None:
        with self._lock:
            self._look_at_late()
            idle = self._idle[address]
            while idle:
                conn = idle.pop()
                if conn.usable():
                    return conn
        return None

    def _look_at_late(self) -> None:
        late, self._late = self._late, []
        for conn in late:
            if not conn.usable():
                continue
            if conn.pending:
                self._late.append(conn)
            else:
                self._keep(conn)

    def _keep(self, conn: Connection) -> None:
        idle = self._idle[conn.address]
        if self._closed or len(idle) >= self._idle_max:
            conn.close()
        else:
            idle.append(conn)

    def avoid(self, address: Address) -> None:
        """It has failed: others come first for a while."""
        with self._lock:
            count = self._failures[address] = self._failures.get(address, 0) + 1
            self._avoided[address] = time.monotonic() + min(_AVOID_FOR * 2.0 ** min(count - 1, 16), _AVOID_MAX)

    def answered(self, address: Address) -> None:
        """It has not failed any more."""
        if address in self._failures:
            with self._lock:
                self._failures.pop(address, None)
                self._avoided.pop(address, None)

    def give(self, conn: Connection) -> None:
        """Takes back a connection that the next request may be sent on, even if answers are still to come."""
        with self._lock:
            self._keep(conn)

    def give_late(self, conn: Connection) -> None:
        """Takes back a connection with an answer to come that nobody waits for."""
        with self._lock:
            self._late.append(conn)
            while len(self._late) > (0 if self._closed else _LATE_MAX):
                self._late.pop(0).close()

    def close(self) -> None:
        """Closes what is kept; connections that are in use are closed when they come back."""
        with self._lock:
            self._closed = True
            for conns in (*self._idle.values(), self._late):
                while conns:
                    conns.pop().close()
