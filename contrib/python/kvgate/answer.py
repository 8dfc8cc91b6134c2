"""
Answers to record commands, out of bytes that come in any pieces.

    buffer.feed(data); answer.advance(buffer) -> False: more is needed; True: it is whole

An answer takes just its own bytes, so that many can be expected on one connection. ProtocolError: the bytes are no such
answer; where the next one begins is unknown then. Pure: no sockets; one thread at a time.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import NamedTuple

from .errors import ProtocolError, ReplyError, reply_error
from .signals import Signals

__all__ = ["Answer", "Buffer", "DoneAnswer", "PageAnswer", "RawItem", "SignalsAnswer"]

_KEEP = 64 * 1024   # bytes of a buffer that a connection keeps while nothing is in them
LINE_MAX = 4096     # bytes of an answer's line; kvgate's longest, with a page token, has about 2500


class Buffer:
    """Bytes that were received and not yet taken."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0            # what lies before was taken
        self._seen = 0          # no end of line lies before

    def __len__(self) -> int:
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        if self._at == len(self._data):
            self._data.clear()
            self._at = self._seen = 0
        elif self._at > 1 << 20 and self._at > len(self._data) // 2:
            del self._data[:self._at]
            self._seen -= self._at
            self._at = 0
        self._data += data

    def trim(self) -> None:
        """All was taken: room that a large answer has needed is not kept."""
        if self._at == len(self._data) > _KEEP:
            self._data = bytearray()
            self._at = self._seen = 0

    def line(self) -> bytes | None:
        """The next line without its end, or None while it is not whole."""
        end = self._data.find(b"\n", max(self._at, self._seen))
        if end < 0:
            self._seen = len(self._data)
            if len(self) > LINE_MAX:
                raise ProtocolError("an answer's line has no end")
            return None
        if end - self._at > LINE_MAX or self._data[end - 1:end] != b"\r" or end == self._at:
            raise ProtocolError("an answer's line is too long or does not end as it should")
        line = bytes(self._data[self._at:end - 1])
        self._at = self._seen = end + 1
        return line

    def block(self, size: int) -> bytes | None:
        """The next size bytes, without the end of line behind them, or None while they are not there."""
        end = self._at + size
        if len(self._data) < end + 2:
            return None
        if self._data[end:end + 2] != b"\r\n":
            raise ProtocolError("a value does not end where it should")
        with memoryview(self._data) as view:
            data = bytes(view[self._at:end])
        self._at = self._seen = end + 2
        return data


class Answer:
    """What all answers have: done once it is whole; error is what the server refused with, or None."""

    def __init__(self) -> None:
        self.done = False
        self.error: ReplyError | None = None

    def advance(self, buffer: Buffer) -> bool:
        """Takes what there is of this answer; returns whether it is whole now."""
        while not self.done and self._before_line(buffer):
            line = buffer.line()
            if line is None:
                break
            self.error = reply_error(line)
            if self.error is not None:
                self.done = True
            else:
                self._take(line)
        return self.done

    def _before_line(self, _buffer: Buffer) -> bool:
        """Takes what comes before the next line; False: it is not whole yet."""
        return True

    def _take(self, line: bytes) -> None:
        raise NotImplementedError


def _number(word: bytes) -> int:
    if not word.isdigit():
        raise ProtocolError(f"no number: {word[:40]!r}")
    return int(word)


class RawItem(NamedTuple):
    """An item as it was sent. codec: of data, "" for none; data: None where none follows; ttl: -1 for none."""

    id: bytes
    key: bytes
    data: bytes | None
    codec: str
    size: int
    version: int
    flags: int
    ttl: int


def _item(words: list[bytes], data: bytes | None) -> RawItem:
    """An item out of its line's flags. Letters that are not known here are passed over."""
    record = key = b""
    size, version, flags, ttl, codec = len(data or b""), 0, 0, -1, ""
    binary = False
    for word in words:
        letter, argument = word[:1], word[1:]
        if letter == b"k":
            key = argument
        elif letter == b"i":
            record = argument
        elif letter == b"c":
            version = _number(argument)
        elif letter == b"f":
            flags = _number(argument)
        elif letter == b"t":
            ttl = -1 if argument == b"-1" else _number(argument)
        elif letter == b"s":
            size = _number(argument)
        elif letter == b"Z":
            codec = argument.decode("ascii", "replace")
        elif word == b"b":
            binary = True
    if binary:
        try:
            record, key = b64decode(record, validate=True), b64decode(key, validate=True)
        except binascii.Error as e:
            raise ProtocolError("a name in base64 is none") from e
    return RawItem(record, key, data, codec, size, version, flags, ttl)


class PageAnswer(Answer):
    """kg, ks: items, then EN with what is to be known of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[RawItem] = []
        self.token: str | None = None
        self.reason: str | None = None
        self._words: list[bytes] = []       # of the item whose value is still to come
        self._size = -1

    def _before_line(self, buffer: Buffer) -> bool:
        if self._size < 0:
            return True
        data = buffer.block(self._size)
        if data is None:
            return False
        self.items.append(_item(self._words, data))
        self._size = -1
        return True

    def _take(self, line: bytes) -> None:
        words = line.split(b" ")
        if words[0] == b"VA" and len(words) > 1:
            self._size = _number(words[1])
            self._words = words[2:]
        elif words[0] == b"HD":
            self.items.append(_item(words[1:], None))
        elif words[0] == b"EN":
            self._end(words[1:])
        else:
            raise ProtocolError(f"no line of a page: {line[:40]!r}")

    def _end(self, words: list[bytes]) -> None:
        for word in words:
            if word.startswith(b"N"):
                self.token = word[1:].decode("ascii", "replace")
            elif word.startswith(b"W"):
                self.reason = word[1:].decode("ascii", "replace")
        self.done = True


class DoneAnswer(Answer):
    """kp, kd, km: HD. version: the CAS unique that was written, microseconds since 1970; 0: not told."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 0

    def _take(self, line: bytes) -> None:
        words = line.split(b" ")
        if words[0] != b"HD":
            raise ProtocolError(f"no answer to a write: {line[:40]!r}")
        for word in words[1:]:
            if word.startswith(b"c"):
                self.version = _number(word[1:])
        self.done = True


class SignalsAnswer(Answer):
    """kh: SIG <name> <value>, then END. heard() is called with the signals once they are whole."""

    def __init__(self, heard: Callable[[Signals], None]) -> None:
        super().__init__()
        self._pairs: dict[str, str] = {}
        self._heard = heard

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if text == "END" or text.startswith("END "):
            try:
                signals = Signals.from_pairs(self._pairs)
            except ValueError as e:
                raise ProtocolError(f"a signal that is none: {e}") from e
            self.done = True
            self._heard(signals)
            return
        word, _, pair = text.partition(" ")
        name, _, value = pair.partition(" ")
        if word != "SIG" or not name:
            raise ProtocolError(f"no signal: {line[:40]!r}")
        self._pairs[name] = value
