"""What is stored and asked for. Ids, keys and values are bytes; where a name is taken, str stands for its UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

__all__ = ["Delete", "Found", "Item", "Items", "Name", "Page", "Put", "Range", "ScanPage", "Write"]

Name: TypeAlias = str | bytes


class Item(NamedTuple):
    """
    An item as it was read.

    value: None if it was not asked for or is larger than value_max. size: its bytes, also then.
    version: microseconds since 1970, larger after each change; the CAS unique of memcached's commands.
    flags: 32 bits that belong to clients. ttl: seconds that it has left, None: it does not expire.
    """

    key: bytes
    value: bytes | None
    size: int
    version: int
    flags: int = 0
    ttl: int | None = None


class Found(NamedTuple):
    """An item of a scan, with the id of its record."""

    id: bytes
    item: Item


class Page(NamedTuple):
    """
    Items of one answer to get_page().

    token: where the next page begins, to be given to get_page() with the same question, to any kvgate, at any time;
    None: there is no more. reason: why the page ended here: "size", "slo", "partial", "limit", or None at the end.
    """

    items: list[Item]
    token: str | None
    reason: str | None


class ScanPage(NamedTuple):
    """Items of one answer to scan_page(); token and reason as in Page."""

    items: list[Found]
    token: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """
    An item to be written.

    ttl: seconds that it lives, 0: for ever, negative: not at all, more than 30 days: seconds since 1970 at which it
    ends.
    """

    key: Name
    value: bytes
    ttl: int = 0
    flags: int = 0


Items: TypeAlias = (Mapping[Name, bytes] | Mapping[str, bytes] | Mapping[bytes, bytes] |
                    Iterable[Write | tuple[Name, bytes]])


@dataclass(frozen=True, slots=True)
class Range:
    """
    Items of a record by their keys, which are ordered as unsigned bytes: those from start (inclusive) to end
    (exclusive) that begin with head. What is None does not bound.
    """

    start: Name | None = None
    end: Name | None = None
    head: Name | None = None

    def __post_init__(self) -> None:
        if self.end in ("", b""):
            raise ValueError("nothing lies before an empty end")


@dataclass(frozen=True, slots=True)
class Put:
    """All of these items into one record, or, if that fails, none."""

    id: Name
    items: Items


@dataclass(frozen=True, slots=True)
class Delete:
    """
    Items of one record: those with these keys, or those in this range; the whole record if `what` is a Range()
    without bounds. Ranges and records take the same time whatever their number of items.
    """

    id: Name
    what: Iterable[Name] | Range
