"""
One request, sent once or, when its answer is late, on a second connection too: the first good answer wins.

No thread is needed: both connections are polled. A connection whose answer lost goes back to the pool to wait for it.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .answer import Answer
from .connection import Connection
from .errors import ClientError, ConnectionLost, KvgateError, ProtocolError, Timeout
from .pool import Pool

__all__ = ["Race"]

A = TypeVar("A", bound=Answer)

_WAIT_MAX = 3600.0      # seconds: poll() takes no more than some weeks


@dataclass(eq=False, slots=True)
class _Leg(Generic[A]):
    conn: Connection
    answer: A
    connect_by: float


class Race(Generic[A]):
    """
    request goes out to the pool's best address; new_answer() makes what takes the answer. hedge_after: seconds
    until it is sent a second time if may_hedge() allows; None: never. behind: another request, sent after it on the
    same connection, whose answer nobody waits for.
    """

    def __init__(self, pool: Pool, request: bytes, new_answer: Callable[[], A], *, connect_timeout: float,
                 hedge_after: float | None = None, may_hedge: Callable[[], bool] = lambda: True,
                 behind: tuple[bytes, Answer] | None = None) -> None:
        self._pool = pool
        self._request = request
        self._new_answer = new_answer
        self._connect_timeout = connect_timeout
        self._hedge_at = math.inf
        self._hedge_after = hedge_after
        self._may_hedge = may_hedge
        self._behind = behind
        self._legs: list[_Leg[A]] = []
        self._refused: A | None = None          # an answer that tells of a failure, should there be no better one
        self._error: KvgateError = Timeout("no time was left to ask")

    def run(self, deadline: float) -> A:
        """
        The answer, perhaps an error of the server. deadline: of time.monotonic(). Raises ConnectionLost, Timeout,
        ProtocolError.
        """
        try:
            self._start()
            if self._hedge_after is not None:
                self._hedge_at = time.monotonic() + self._hedge_after
            while self._legs:
                answer = self._step(deadline)
                if answer is not None:
                    return answer
            if self._refused is not None:
                return self._refused
            raise self._error
        except KvgateError:
            raise
        except BaseException:
            # Interrupted somewhere: what was sent and received may be otherwise than it seems.
            for leg in self._legs:
                leg.conn.close()
            self._legs.clear()
            raise
        finally:
            self._leave()

    def _start(self) -> None:
        conn = self._pool.take([leg.conn.address for leg in self._legs])
        leg = _Leg(conn, self._new_answer(), math.inf if conn.connected else time.monotonic() + self._connect_timeout)
        self._legs.append(leg)
        try:
            conn.send(self._request, leg.answer)
            if self._behind is not None:
                conn.send(*self._behind)
                self._behind = None
        except ConnectionLost as e:
            self._drop(leg, e)

    def _step(self, deadline: float) -> A | None:
        """Waits until something happens; an answer if that is one to be returned."""
        ready = self._wait(min(deadline, self._hedge_at, *(leg.connect_by for leg in self._legs)))
        for leg in [leg for leg in self._legs if leg.conn.fileno() in ready]:
            answer = self._advance(leg)
            if answer is not None:
                return answer
        now = time.monotonic()
        for leg in [leg for leg in self._legs if now >= leg.connect_by]:
            self._try_next(leg, now)
        if now >= deadline and self._legs:
            for leg in self._legs:
                self._pool.avoid(leg.conn.address)
            raise Timeout(f"no answer in time from {', '.join(leg.conn.name for leg in self._legs)}")
        if now >= self._hedge_at:
            self._hedge()
        return None

    def _try_next(self, leg: _Leg[A], now: float) -> None:
        """It takes too long to connect."""
        try:
            leg.conn.try_next(f"no connection within {self._connect_timeout:g} s")
            leg.connect_by = math.inf if leg.conn.connected else now + self._connect_timeout
        except ConnectionLost as e:
            self._pool.avoid(leg.conn.address)
            self._drop(leg, e)

    def _wait(self, until: float) -> set[int]:
        poller = select.poll()
        for leg in self._legs:
            poller.register(leg.conn, select.POLLIN | (select.POLLOUT if leg.conn.wants_write else 0))
        wait = max(0.0, until - time.monotonic())
        return {fd for fd, _ in poller.poll(math.ceil(min(wait, _WAIT_MAX) * 1000))}

    def _advance(self, leg: _Leg[A]) -> A | None:
        connecting = not leg.conn.connected
        try:
            leg.conn.advance()
        except (ConnectionLost, ProtocolError) as e:
            # What came whole before it ended is an answer all the same.
            if not leg.answer.done:
                if connecting and not leg.conn.connected:
                    self._pool.avoid(leg.conn.address)
                self._drop(leg, e)
                return None
            leg.conn.close()
        if leg.conn.connected:
            leg.connect_by = math.inf
        if not leg.answer.done:
            return None
        self._legs.remove(leg)
        self._pool.answered(leg.conn.address)
        if leg.conn.wants_write:
            leg.conn.close()    # refused before the whole request had gone
        self._pool.give(leg.conn)
        if leg.answer.error is None or isinstance(leg.answer.error, ClientError):
            return leg.answer
        self._refused = leg.answer
        return None

    def _hedge(self) -> None:
        self._hedge_at = math.inf
        if len(self._legs) == 1 and self._may_hedge():
            try:
                self._start()
            except ConnectionLost:
                pass        # the first is still to come

    def _drop(self, leg: _Leg[A], error: KvgateError) -> None:
        self._legs.remove(leg)
        leg.conn.close()
        self._error = error

    def _leave(self) -> None:
        """What has not been answered: its answer will come, unless the request has not even gone."""
        for leg in self._legs:
            if leg.conn.wants_write:
                leg.conn.close()
            else:
                self._pool.give_late(leg.conn)
        self._legs.clear()
