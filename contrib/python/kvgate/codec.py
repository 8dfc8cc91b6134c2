"""Compression beside the application: fewer bytes on the way and in the store. Any thread."""

from __future__ import annotations

import zstandard

from .errors import CodecError

__all__ = ["CODEC", "MIN_SIZE", "SIZE_MAX", "decode", "encode"]

CODEC = "zstd"
SIZE_MAX = 1 << 30  # bytes: no item_size_max is more; what it is now may have been more when a value was written
_EMPTY_MAX = 25     # bytes of a frame without content
MIN_SIZE = 256      # bytes; below it a frame's head costs what it saves


def encode(value: bytes) -> bytes | None:
    """The value compressed, its size in the frame's head, or None if that saves less than an eighth."""
    if len(value) < MIN_SIZE:
        return None
    data = zstandard.ZstdCompressor(level=3).compress(value)
    return data if len(data) <= len(value) - len(value) // 8 else None


def decode(codec: str, data: bytes, size_max: int) -> bytes:
    """
    What encode() or a kvgate compressed. CodecError: it is damaged, of another codec, or larger than size_max bytes;
    the head says how large, so that a few bytes cannot make us allocate more than that.
    """
    if codec != CODEC:
        raise CodecError(f"a value in {codec}, which was not asked for")
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= size_max:
            raise CodecError(f"a value that does not say its size, or one over {size_max} bytes")
        if size == 0:
            return _empty(data)
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as e:
        raise CodecError(f"a damaged value: {e}") from e


def _empty(data: bytes) -> bytes:
    """What says that it is empty, which decompress() believes without a look."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    if len(data) > _EMPTY_MAX or frame.decompress(data) or not frame.eof:
        raise CodecError("a damaged value: its head says that it is empty")
    return b""
