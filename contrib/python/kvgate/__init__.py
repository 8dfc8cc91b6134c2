"""
kvgate's records from Python: HashMap<id, SortedMap<key, value>>, over the memcached port of a kvgate.

client.py says how it is used, model.py what goes in and comes out, errors.py what can go wrong. Inside, from the
bottom:

    request, answer     commands to bytes, bytes to answers; no sockets
    connection          one socket that never blocks
    pool                those that are kept
    race                one request on one or two of them: the first good answer wins
    hedge, signals      when a second one is worth it, by what the server says of the namespace
    client              tokens, retries, pages
"""

from .client import Client, Namespace
from .errors import (AtomicUnsupported, BadPageToken, ClientError, CodecError, ConnectionLost, KvgateError,
                     PartialFailure, ProtocolError, ReplyError, ServerError, Timeout, TokenDrift, TooLarge,
                     UnknownNamespace)
from .model import Delete, Found, Item, Page, Put, Range, ScanPage, Write
from .signals import Signals
from .token import Token

__all__ = [
    "AtomicUnsupported",
    "BadPageToken",
    "Client",
    "ClientError",
    "CodecError",
    "ConnectionLost",
    "Delete",
    "Found",
    "Item",
    "KvgateError",
    "Namespace",
    "Page",
    "PartialFailure",
    "ProtocolError",
    "Put",
    "Range",
    "ReplyError",
    "ScanPage",
    "ServerError",
    "Signals",
    "Timeout",
    "Token",
    "TokenDrift",
    "TooLarge",
    "UnknownNamespace",
    "Write",
]
