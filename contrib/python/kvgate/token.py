"""Idempotency tokens: by them a write that is given twice counts once."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass

__all__ = ["Token"]

_lock = threading.Lock()
_last = 0


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """
    When a write was made, and a number that tells it from others of that moment.

    time: microseconds since 1970; of two writes of an item the one with the later time wins, whichever comes first.
    nonce: 0 <= nonce < 2**128; decides between equal times.
    """

    time: int
    nonce: int

    def __post_init__(self) -> None:
        if not 0 <= self.time < 1 << 64:
            raise ValueError("a token's time has 64 bits")
        if not 0 <= self.nonce < 1 << 128:
            raise ValueError("a token's nonce has 128 bits")

    @classmethod
    def new(cls) -> Token:
        """A token of now. In a process their times strictly increase, also when the clock steps back. Any thread."""
        global _last
        with _lock:
            _last = max(time.time_ns() // 1000, _last + 1)
            return cls(_last, secrets.randbits(128))
