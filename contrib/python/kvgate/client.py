"""
The client: namespaces of records, each a sorted map of items, behind one kvgate or several.

    with kvgate.Client("127.0.0.1:11211") as client:
        users = client.namespace("users")
        users.put("user:42", {"name": b"Ada", "mail": b"ada@example.org"})
        for item in users.get("user:42"):
            print(item.key, item.value)

Clients and namespaces may be used by any number of threads; an iterator by one at a time. A process that is forked while
no other thread uses the client has connections of its own.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from . import codec, request
from .answer import Answer, DoneAnswer, PageAnswer, RawItem, SignalsAnswer
from .connection import parse_address
from .errors import CodecError, ConnectionLost, KvgateError, ProtocolError, ServerError, Timeout
from .hedge import Hedger
from .model import Delete, Found, Item, Items, Name, Page, Put, Range, ScanPage, Write
from .pool import Pool
from .race import Race
from .signals import Signals
from .token import Token

__all__ = ["Client", "Namespace"]

A = TypeVar("A", bound=Answer)

_ALL = Range()
_GRACE = 0.5            # seconds for the way, beyond the time at which the server itself gives up
_BACKOFF = 0.01         # seconds before the second attempt, at most; twice as many before each further one, up to
_BACKOFF_MAX = 0.2
_KEYS_BYTES = 32 * 1024     # of the keys in one question, so that its line is short enough in base64, too


class Client:
    """
    Connections to one kvgate or to several that serve the same; the first is asked, the others stand in, for 1 to 30
    seconds after it could not be connected to or gave no answer in time, and are asked a second time when it is late.

    addresses: "host:port", "[::1]:port", "/path/of.sock", or a list of these.
    timeout: seconds that a call (of an iterator, a page) takes at most where the namespace's slo_read or slo_write
        states no maximum.
    connect_timeout: seconds for one connection to be made.
    attempts: how often a request is tried, within that time, before ConnectionLost or ServerError is raised.
    handshake_interval: seconds after which a namespace's signals are asked for again, behind the next request.
    compress: whether values are compressed here, if the namespace takes that.
    """

    def __init__(self, addresses: str | Sequence[str], *, timeout: float = 10.0, connect_timeout: float = 1.0,
                 attempts: int = 3, handshake_interval: float = 30.0, compress: bool = True) -> None:
        if isinstance(addresses, str):
            addresses = [addresses]
        if not addresses:
            raise ValueError("no address")
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self.attempts = attempts
        self.handshake_interval = handshake_interval
        self.compress = compress
        self._pool = Pool([parse_address(address) for address in addresses])
        self._namespaces: dict[str, Namespace] = {}

    def namespace(self, name: str = "") -> Namespace:
        """The namespace of that name, "": the default one; each time the same. Nothing is asked before it is used."""
        found = self._namespaces.get(name)
        if found is None:
            found = self._namespaces.setdefault(name, Namespace(self, request.check_space(name), self._pool))
        return found

    def close(self) -> None:
        """Closes the connections. Calls that are under way end as they would have; later ones raise ConnectionLost."""
        self._pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Namespace:
    """
    The records of one namespace. Ids are whole, with the namespace's prefix, as in memcached's keys.

    All methods raise ConnectionLost, Timeout, ProtocolError, ClientError and ServerError; those that write put
    their token into the error, and take one: the same write, given again with the token of the first try, counts
    once. ValueError and TypeError are raised before anything of a request is sent.
    """

    def __init__(self, client: Client, name: str, pool: Pool) -> None:
        self._client = client
        self._name = name
        self._pool = pool
        self._hedger = Hedger()
        self._signals: Signals | None = None
        self._asked_at = -math.inf

    # Signals

    @property
    def signals(self) -> Signals:
        """What the last handshake said; the first use makes one."""
        return self._signals or self.handshake()

    def handshake(self) -> Signals:
        """Asks for the signals now."""
        self._exchange(request.handshake(self._name), lambda: SignalsAnswer(self._hear), self._client.timeout)
        assert self._signals is not None
        return self._signals

    def _hear(self, signals: Signals) -> None:
        self._signals = signals
        self._asked_at = time.monotonic()

    def _refresh(self) -> tuple[bytes, Answer] | None:
        """A handshake to be sent behind a request, if it is time."""
        now = time.monotonic()
        if now - self._asked_at < self._client.handshake_interval:
            return None
        self._asked_at = now        # other threads need not ask, too
        return request.handshake(self._name), SignalsAnswer(self._hear)

    def _space(self, signals: Signals) -> str:
        return self._name or signals.namespace

    def _zstd(self, signals: Signals) -> bool:
        return codec.CODEC in signals.codecs

    # Reading

    def get(self, id: Name, keys: Iterable[Name] | None = None, *, start: Name | None = None, end: Name | None = None,
            head: Name | None = None, reverse: bool = False, limit: int | None = None, values: bool = True,
            value_max: int | None = None, page_bytes: int | None = None) -> Iterator[Item]:
        """
        Items of a record: with keys just these, in the order given, missing ones left out; else those from start
        (inclusive) to end (exclusive) that begin with head, in the order of their keys, or the last one first.

        limit: at most so many items. values, value_max: only if they are to be sent, and have at most so many
        bytes, do items have their values. Pages of page_bytes (else the server's) are fetched as the iterator comes
        to them, each a snapshot of its own; an item that is there all the time comes just once.
        """
        _check_limit(limit)
        if keys is None:
            return self._get_range(id, Range(start, end, head), reverse, limit, values, value_max, page_bytes)
        if start is not None or end is not None or head is not None or reverse:
            raise ValueError("keys go with no range")
        return self._get_keys(id, request.to_keys(keys), limit, values, value_max, page_bytes)

    def _get_range(self, id: Name, which: Iterable[Name] | Range, reverse: bool, limit: int | None, values: bool,
                   value_max: int | None, page_bytes: int | None) -> Iterator[Item]:
        token: str | None = None
        while limit != 0:
            page = self.get_page(id, which, token=token, reverse=reverse, limit=limit, values=values,
                                 value_max=value_max, page_bytes=page_bytes)
            yield from page.items
            token = _next_token(page, token)
            if token is None:
                return

    def _get_keys(self, id: Name, keys: list[bytes], limit: int | None, values: bool, value_max: int | None,
                  page_bytes: int | None) -> Iterator[Item]:
        if limit == 0:
            return
        left = limit
        for some in _portions(keys, self.signals.keys_max):
            for item in self._get_range(id, some, False, left, values, value_max, page_bytes):
                yield item
                left = None if left is None else left - 1
            if left == 0:
                return

    def get_page(self, id: Name, which: Iterable[Name] | Range = _ALL, *, token: str | None = None,
                 reverse: bool = False, limit: int | None = None, values: bool = True, value_max: int | None = None,
                 page_bytes: int | None = None, page_ms: int | None = None) -> Page:
        """
        One page, for who hands page tokens on. token: of the page before, None: from the beginning. page_ms: the
        server ends the page, with a token, when it has worked on it for so many milliseconds. The rest as in get().
        """
        signals = self.signals
        line = request.get(self._space(signals), id, which, reverse=reverse, values=values, limit=limit,
                           page_bytes=page_bytes, value_max=value_max, page_ms=page_ms, token=token,
                           zstd=self._zstd(signals))
        answer = self._read(line, signals)
        return Page([_decoded(item) for item in answer.items], answer.token, answer.reason)

    def get_item(self, id: Name, key: Name = b"") -> Item | None:
        """One item, or None if it is not there."""
        page = self.get_page(id, [key])
        return page.items[0] if page.items else None

    def scan(self, part: int = 1, parts: int = 1, *, limit: int | None = None, values: bool = True,
             value_max: int | None = None, page_bytes: int | None = None) -> Iterator[Found]:
        """
        All items of the namespace, or of the part-th of so many disjoint parts (1 <= part <= parts <= 1024), which
        can be read at the same time. The items of a record come together, in the order of their keys; records in no
        order that means anything. An item that is there all the time comes just once. The rest as in get().
        """
        if not 1 <= part <= parts <= 1024:
            raise ValueError(f"no part: {part} of {parts}")
        _check_limit(limit)
        return self._scan(part, parts, limit, values, value_max, page_bytes)

    def _scan(self, part: int, parts: int, limit: int | None, values: bool, value_max: int | None,
              page_bytes: int | None) -> Iterator[Found]:
        token: str | None = None
        while limit != 0:
            page = self.scan_page(part, parts, token=token, limit=limit, values=values, value_max=value_max,
                                  page_bytes=page_bytes)
            yield from page.items
            token = _next_token(page, token)
            if token is None:
                return

    def scan_page(self, part: int = 1, parts: int = 1, *, token: str | None = None, limit: int | None = None,
                  values: bool = True, value_max: int | None = None, page_bytes: int | None = None,
                  page_ms: int | None = None) -> ScanPage:
        """One page of a scan, as get_page() is one of get()."""
        signals = self.signals
        line = request.scan(self._space(signals), part, parts, values=values, limit=limit, page_bytes=page_bytes,
                            value_max=value_max, page_ms=page_ms, token=token, zstd=self._zstd(signals))
        answer = self._read(line, signals)
        return ScanPage([Found(item.id, _decoded(item)) for item in answer.items], answer.token, answer.reason)

    # Writing

    def put(self, id: Name, items: Items, *, token: Token | None = None) -> int:
        """
        Writes items into a record, all or, if it fails, none; other items of it stay. items: a mapping of keys to
        values, or Writes, or pairs of key and value. Returns the version written, in microseconds since 1970.
        """
        return self._write(lambda s, t: request.put(self._space(s), id, items, t, zstd=self._packs(s)), token)

    def put_item(self, id: Name, key: Name, value: bytes, *, ttl: int = 0, flags: int = 0,
                 token: Token | None = None) -> int:
        """Writes one item; see Write for ttl, and put()."""
        return self.put(id, [Write(key, value, ttl, flags)], token=token)

    def delete(self, id: Name, keys: Iterable[Name], *, token: Token | None = None) -> int:
        """
        Deletes items of a record, however many, all or, if it fails, none; those that are not there count as deleted.
        Returns a version, as put() does.
        """
        return self._write(lambda s, t: self._delete_keys(s, id, request.to_keys(keys), t), token)

    def _delete_keys(self, signals: Signals, id: Name, keys: list[bytes], token: Token) -> bytes:
        """In one line, or, if they are too many for that, in one mutation."""
        portions = list(_portions(keys, signals.keys_max))
        if len(portions) <= 1:
            return request.delete(self._space(signals), id, keys, token)
        return request.mutate(self._space(signals), [Delete(id, some) for some in portions], token)

    def delete_range(self, id: Name, *, start: Name | None = None, end: Name | None = None, head: Name | None = None,
                     token: Token | None = None) -> int:
        """Deletes the items from start (inclusive) to end (exclusive) that begin with head, in constant time."""
        if not (start or end or head):
            raise ValueError("a range without bounds: delete_record() deletes all items")
        return self._delete_range(id, Range(start, end, head), token)

    def delete_record(self, id: Name, *, token: Token | None = None) -> int:
        """Deletes all items of a record, in constant time."""
        return self._delete_range(id, _ALL, token)

    def _delete_range(self, id: Name, which: Range, token: Token | None) -> int:
        return self._write(lambda s, t: request.delete(self._space(s), id, which, t), token)

    def mutate(self, mutations: Iterable[Put | Delete], *, atomic: bool = False, token: Token | None = None) -> int:
        """
        Writes to many records; of the changes to one item the last wins. Each record's puts and deletes are carried
        out whole or not at all; with atomic so are all of them, or AtomicUnsupported is raised where the store
        cannot (signals.atomic_across_records). PartialFailure: some records were not written. Returns the version,
        as put().
        """
        return self._write(lambda s, t: request.mutate(self._space(s), mutations, t, atomic=atomic,
                                                       zstd=self._packs(s)), token)

    def _packs(self, signals: Signals) -> bool:
        return self._client.compress and self._zstd(signals)

    # Requests

    def _read(self, line: bytes, signals: Signals) -> PageAnswer:
        self._hedger.began(signals)
        started = time.monotonic()
        answer = self._exchange(line, PageAnswer, self._patience(signals.slo_read_max_us),
                                self._hedger.delay(signals), refresh=True)
        self._hedger.ended(time.monotonic() - started)
        return answer

    def _write(self, make: Callable[[Signals, Token], bytes], token: Token | None) -> int:
        token = token or Token.new()
        try:
            signals = self.signals
            answer = self._exchange(make(signals, token), DoneAnswer, self._patience(signals.slo_write_max_us),
                                    refresh=True)
        except KvgateError as e:
            e.token = token
            raise
        return answer.version

    def _patience(self, max_us: int) -> float:
        return max_us / 1e6 + _GRACE if max_us else self._client.timeout

    def _exchange(self, data: bytes, new_answer: Callable[[], A], timeout: float, hedge_after: float | None = None,
                  refresh: bool = False) -> A:
        """A good answer to a request; tries again while that may help and there is time."""
        failed: KvgateError | None = None
        deadline = time.monotonic() + timeout
        pause = _BACKOFF
        attempt = 1
        while True:
            race = Race(self._pool, data, new_answer, connect_timeout=self._client.connect_timeout,
                        hedge_after=hedge_after, may_hedge=self._hedger.may,
                        behind=self._refresh() if refresh else None)
            try:
                answer = race.run(deadline)
                if answer.error is None:
                    return answer
                raise answer.error
            except Timeout as e:
                if failed is None:
                    raise
                raise Timeout(f"{e}; before: {failed}") from failed
            except ServerError as e:
                if not e.retryable or attempt >= self._client.attempts:
                    raise
                failed = e
            except ConnectionLost as e:
                self._asked_at = -math.inf      # it may be another server then, with other words
                if attempt >= max(self._client.attempts, len(self._pool.addresses)):
                    raise
                failed = e
            wait = random.uniform(pause / 2, pause)
            if time.monotonic() + wait >= deadline:
                raise Timeout(f"no good answer in time; the last: {failed}") from failed
            time.sleep(wait)
            pause = min(2 * pause, _BACKOFF_MAX)
            attempt += 1


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 0:
        raise ValueError(f"limit is {limit}")


def _next_token(page: Page | ScanPage, token: str | None) -> str | None:
    """Where the next page begins. A page without items may have one, but not the same again."""
    if page.token is not None and page.token == token and not page.items:
        raise ProtocolError("a page that does not go on")
    return page.token


def _portions(keys: list[bytes], most: int) -> Iterator[list[bytes]]:
    """Keys in groups that fit into one question each."""
    some: list[bytes] = []
    size = 0
    for key in keys:
        if some and (len(some) >= most or size + len(key) + 2 > _KEYS_BYTES):
            yield some
            some, size = [], 0
        some.append(key)
        size += len(key) + 2
    if some:
        yield some


def _decoded(item: RawItem) -> Item:
    value, size = item.data, item.size
    if value is not None and item.codec:
        try:
            value = codec.decode(item.codec, value, codec.SIZE_MAX)
        except CodecError as e:
            raise CodecError(f"item {item.key!r}: {e}") from e
        size = len(value)
    return Item(item.key, value, size, item.version, item.flags, None if item.ttl < 0 else item.ttl)
