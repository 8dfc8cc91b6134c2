"""When a read that has not been answered is sent a second time, and whether it may be."""

from __future__ import annotations

import threading
from collections import deque

from .signals import Signals

__all__ = ["Hedger"]

_KEPT = 256         # reads whose times are remembered
_ENOUGH = 32        # of them make a percentile
_FRESH = 32         # after so many it is computed anew
_BURST = 8.0        # hedges that a quiet time may have saved up
_AUTO_MIN = 0.001   # seconds: what is sooner is our own scheduling


class Hedger:
    """
    One namespace's. `hedge` in the signals is off, a time, or auto: then a read is late when 95 of 100 are faster,
    or, until so much is known, after slo_read_target_us. hedge_budget_percent of the reads may be sent twice. Any
    thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._news = 0
        self._p95: float | None = None
        self._budget = 1.0

    def delay(self, signals: Signals) -> float | None:
        """Seconds after which a read is late; None: it is never sent twice."""
        if signals.hedge.isdecimal():
            return int(signals.hedge) / 1e6
        if signals.hedge != "auto":
            return None
        if self._p95 is not None:
            return max(self._p95, _AUTO_MIN)
        return signals.slo_read_target_us / 1e6 or None

    def began(self, signals: Signals) -> None:
        """A read was sent: the budget grows."""
        with self._lock:
            self._budget = min(self._budget + signals.hedge_budget_percent / 100, _BURST)

    def ended(self, seconds: float) -> None:
        """It took so long."""
        with self._lock:
            self._times.append(seconds)
            self._news += 1
            if len(self._times) >= _ENOUGH and self._news >= _FRESH:
                self._news = 0
                self._p95 = sorted(self._times)[len(self._times) * 95 // 100]

    def may(self) -> bool:
        """Takes one hedge off the budget, if it is there."""
        with self._lock:
            if self._budget < 1:
                return False
            self._budget -= 1
            return True
