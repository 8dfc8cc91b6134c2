"""Record commands as bytes. Pure: no sockets, no state."""

from __future__ import annotations

import re
from base64 import b64encode
from operator import index
from collections.abc import Iterable, Mapping

from . import codec
from .errors import BadPageToken
from .model import Delete, Items, Name, Put, Range, Write
from .token import Token

__all__ = ["LINE_MAX", "check_space", "delete", "get", "handshake", "mutate", "put", "scan", "to_bytes", "to_keys"]

LINE_MAX = 64 * 1024        # bytes of a command's line
_BINARY = re.compile(rb"[\x00-\x20\x7f]")
_PAGE_TOKEN = re.compile(r"[!-~]{1,2048}")
_NO_SPACE = re.compile(r"[\x00-\x20\x7f]")


def _plain(value: bytes) -> bytes:
    """All of its bytes, whatever else they are to others. TypeError: it has none."""
    return value if type(value) is bytes else bytes(memoryview(value))


def to_bytes(name: Name) -> bytes:
    """A name's bytes. TypeError: it is none."""
    return name.encode() if isinstance(name, str) else _plain(name)


def to_keys(keys: Iterable[Name]) -> list[bytes]:
    """Their bytes. TypeError: it is one key, of which the letters would be taken for keys."""
    if isinstance(keys, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"a list of keys is needed, not one key: [{keys!r}]")
    return [to_bytes(key) for key in keys]


def check_space(space: str) -> str:
    """ValueError: it is no name of a namespace."""
    if _NO_SPACE.search(space):
        raise ValueError(f"no name of a namespace: {space!r}")
    return space


class _Line:
    """
    A command's line while it is made: words, of which some are names. If one of these has bytes that a line cannot
    hold, all of them go in base64 and b says so.
    """

    def __init__(self, word: str) -> None:
        self._words: list[tuple[str, bytes | None]] = [(word, None)]
        self._more: list[bytes] = []

    def name(self, letter: str, name: bytes) -> None:
        self._words.append((letter, name))

    def word(self, word: str) -> None:
        self._words.append((word, None))

    def also(self, names: Iterable[bytes]) -> None:
        """Names of the lines that follow, which share the b of this one."""
        self._more.extend(names)

    def end(self) -> tuple[bytes, bool]:
        """The line, and whether names are in base64."""
        names = [name for _, name in self._words if name is not None] + self._more
        binary = any(map(_BINARY.search, names))
        out = [letter.encode() + (b"" if name is None else b64encode(name) if binary else name)
               for letter, name in self._words]
        line = b" ".join(out + [b"b"] if binary else out) + b"\r\n"
        if len(line) > LINE_MAX:
            raise ValueError(f"a line of {len(line)} bytes; {LINE_MAX} are possible: ask for fewer keys at a time")
        return line, binary


def _id(line: _Line, record: Name) -> None:
    name = to_bytes(record)
    if not name:
        raise ValueError("an empty id")
    line.name("", name)


def _space(line: _Line, space: str) -> None:
    if space:
        line.word(f"L{space}/")


def _token(line: _Line, token: Token) -> None:
    line.word(f"E{token.time}")
    line.word(f"P{token.nonce:x}")


def _range(line: _Line, which: Range) -> None:
    for letter, bound in (("G", which.start), ("U", which.end), ("H", which.head)):
        if bound:
            line.name(letter, to_bytes(bound))


def _which(line: _Line, which: Iterable[Name] | Range) -> None:
    if isinstance(which, Range):
        _range(line, which)
        return
    keys = to_keys(which)
    if not keys:
        raise ValueError("no keys: that would be the whole record")
    for key in keys:
        line.name("K", key)


def _page(line: _Line, *, limit: int | None, page_bytes: int | None, value_max: int | None,
          page_ms: int | None, token: str | None, zstd: bool) -> None:
    for name, letter, number, least in (("page_bytes", "B", page_bytes, 1), ("limit", "M", limit, 1),
                                        ("value_max", "X", value_max, 0), ("page_ms", "D", page_ms, 1)):
        if number is None:
            continue
        if index(number) < least:
            raise ValueError(f"{name} is {number}; {least} is the least")
        # A page token remembers the limit.
        if letter != "M" or token is None:
            line.word(f"{letter}{index(number)}")
    if token is not None:
        if not _PAGE_TOKEN.fullmatch(token):    # it may come from anywhere, and lines and words are no part of it
            raise BadPageToken("CLIENT_ERROR bad page token")
        line.word(f"N{token}")
    if zstd:
        line.word(f"Z{codec.CODEC}")


def _returns(line: _Line, letters: str, values: bool) -> None:
    for letter in letters + ("v" if values else "s"):
        line.word(letter)


def get(space: str, record: Name, which: Iterable[Name] | Range, *, reverse: bool = False, values: bool = True,
        limit: int | None = None, page_bytes: int | None = None, value_max: int | None = None,
        page_ms: int | None = None, token: str | None = None, zstd: bool = False) -> bytes:
    """kg, for a PageAnswer."""
    line = _Line("kg")
    _id(line, record)
    _space(line, space)
    _which(line, which)
    if reverse:
        line.word("r")
    _page(line, limit=limit, page_bytes=page_bytes, value_max=value_max, page_ms=page_ms, token=token, zstd=zstd)
    _returns(line, "kcft", values)
    return line.end()[0]


def scan(space: str, part: int, parts: int, *, values: bool = True, limit: int | None = None,
         page_bytes: int | None = None, value_max: int | None = None, page_ms: int | None = None,
         token: str | None = None, zstd: bool = False) -> bytes:
    """ks, for a PageAnswer."""
    if not 1 <= part <= parts <= 1024:
        raise ValueError(f"no part: {part} of {parts}")
    line = _Line("ks")
    line.word(space)
    line.word(f"S{index(part)}/{index(parts)}")
    _page(line, limit=limit, page_bytes=page_bytes, value_max=value_max, page_ms=page_ms, token=token, zstd=zstd)
    _returns(line, "ikcft", values)
    return line.end()[0]


def _writes(items: Items) -> list[Write]:
    if isinstance(items, Mapping):
        return [Write(key, value) for key, value in items.items()]
    return [item if isinstance(item, Write) else Write(*item) for item in items]


def _put(out: list[bytes], line: _Line, items: list[Write], zstd: bool) -> None:
    keys = [to_bytes(item.key) for item in items]
    line.also(keys)
    first, binary = line.end()
    out.append(first)
    for key, item in zip(keys, items):
        value = _plain(item.value)
        packed = codec.encode(value) if zstd else None
        data = value if packed is None else packed
        head = b"%b %d" % (b64encode(key) if binary else key, len(data))
        if item.flags:
            if not 0 <= item.flags < 1 << 32:
                raise ValueError(f"flags are 32 bits, not {item.flags}")
            head += b" F%d" % index(item.flags)
        if item.ttl:
            head += b" T%d" % index(item.ttl)
        if packed is not None:
            head += b" Z" + codec.CODEC.encode()
        out += (head, b"\r\n", data, b"\r\n")


def _put_line(record: Name, items: list[Write]) -> _Line:
    line = _Line("kp")
    _id(line, record)
    if not items:
        raise ValueError("no items to put")
    line.word(str(len(items)))
    return line


def put(space: str, record: Name, items: Items, token: Token, *, zstd: bool = False) -> bytes:
    """kp with its body, for a DoneAnswer. zstd: the server takes compressed values."""
    writes = _writes(items)
    line = _put_line(record, writes)
    _space(line, space)
    _token(line, token)
    line.word("c")
    out: list[bytes] = []
    _put(out, line, writes, zstd)
    return b"".join(out)


def delete(space: str, record: Name, what: Iterable[Name] | Range, token: Token) -> bytes:
    """kd, for a DoneAnswer."""
    line = _Line("kd")
    _id(line, record)
    _space(line, space)
    _which(line, what)
    _token(line, token)
    line.word("c")
    return line.end()[0]


def mutate(space: str, mutations: Iterable[Put | Delete], token: Token, *, atomic: bool = False,
           zstd: bool = False) -> bytes:
    """km with its body, for a DoneAnswer."""
    out: list[bytes] = []
    count = 0
    for mutation in mutations:
        count += 1
        if isinstance(mutation, Put):
            writes = _writes(mutation.items)
            line = _put_line(mutation.id, writes)
            _space(line, space)
            _put(out, line, writes, zstd)
        else:
            line = _Line("kd")
            _id(line, mutation.id)
            _space(line, space)
            _which(line, mutation.what)
            out.append(line.end()[0])
    if not count:
        raise ValueError("no mutations")
    line = _Line("km")
    line.word(str(count))
    if atomic:
        line.word("a")
    _token(line, token)
    line.word("c")
    return b"".join([line.end()[0], *out])


def handshake(space: str) -> bytes:
    """kh, for a SignalsAnswer."""
    line = _Line("kh")
    if space:
        line.word(space)
    return line.end()[0]
