"""What can go wrong, as exceptions. Those that the server told of carry its text, word for word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .token import Token

__all__ = [
    "AtomicUnsupported",
    "BadPageToken",
    "ClientError",
    "CodecError",
    "ConnectionLost",
    "KvgateError",
    "PartialFailure",
    "ProtocolError",
    "ReplyError",
    "ServerError",
    "Timeout",
    "TokenDrift",
    "TooLarge",
    "UnknownNamespace",
]


class KvgateError(Exception):
    """
    Any error of this package.

    token: the idempotency token of the write that failed, or None. Whether a write that ended with ConnectionLost,
    Timeout or ServerError was carried out is not known; to give it again with the same token is safe and decides it.
    """

    token: Token | None = None


class ConnectionLost(KvgateError, ConnectionError):
    """No connection could be made, or one ended before the whole answer was there."""


class Timeout(KvgateError, TimeoutError):
    """No whole answer within the time that the namespace's signals, or `timeout`, allow."""


class ProtocolError(KvgateError):
    """What came is no answer that kvgate gives. The connection was closed."""


class CodecError(KvgateError):
    """A value that came compressed cannot be decompressed, or would be larger than a value may be."""


class ReplyError(KvgateError):
    """The server answered with an error; text is its line without the end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ClientError(ReplyError):
    """CLIENT_ERROR, or ERROR from a server without records: the request itself is wrong, nothing was written."""


class UnknownNamespace(ClientError):
    """The server's configuration has no such namespace."""


class TokenDrift(ClientError):
    """The token's time is further from the server's clock than the namespace allows."""


class BadPageToken(ClientError):
    """The page token is not one of this question."""


class AtomicUnsupported(ClientError):
    """The store cannot change several records at once; nothing was written."""


class ServerError(ReplyError):
    """
    SERVER_ERROR, or ERROR with a reason such as too many connections: the request is good, the server could not do it
    now. It was tried `attempts` times.
    """

    retryable = True


class TooLarge(ServerError):
    """The values of a put or of all of a mutate are together larger than item_size_max; nothing was written."""

    retryable = False


class PartialFailure(ServerError):
    """Of the `count` records of a mutate `failed` were not written; the same token completes it."""

    def __init__(self, text: str, failed: int, count: int) -> None:
        super().__init__(text)
        self.failed = failed
        self.count = count

    def __reduce__(self) -> tuple[type[PartialFailure], tuple[str, int, int], dict[str, object]]:
        return type(self), (self.text, self.failed, self.count), self.__dict__


_CLIENT_ERRORS: tuple[tuple[str, type[ClientError]], ...] = (
    ("CLIENT_ERROR unknown namespace", UnknownNamespace),
    ("CLIENT_ERROR token drift", TokenDrift),
    ("CLIENT_ERROR bad page token", BadPageToken),
    ("CLIENT_ERROR atomic across records is not supported", AtomicUnsupported),
)
_PARTIAL = re.compile(r"SERVER_ERROR (\d+) of (\d+) failed")


def reply_error(line: bytes) -> ReplyError | None:
    """The exception that a line of an answer stands for, or None if it is no error."""
    if not line.startswith((b"CLIENT_ERROR", b"SERVER_ERROR", b"ERROR ")) and line != b"ERROR":
        return None
    text = line.decode("utf-8", "backslashreplace")
    if text.startswith("CLIENT_ERROR") or text == "ERROR":
        for start, kind in _CLIENT_ERRORS:
            if text.startswith(start):
                return kind(text)
        return ClientError(text)
    if text.startswith("SERVER_ERROR object too large"):
        return TooLarge(text)
    found = _PARTIAL.match(text)
    if found:
        return PartialFailure(text, int(found[1]), int(found[2]))
    return ServerError(text)
