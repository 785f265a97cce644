"""Undoing Content-Encoding within a bound, whatever the sender made up.

Input goes in by small steps, because one step is the most that can be decompressed beyond the bound: deflate makes at
most 1,032 bytes of one, zstd makes 128 KiB of a block of four bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, Protocol

import zstandard

from raingauge.errors import Reason, Refused

DEFLATE_STEP_BYTES: Final = 4 * 1024
ZSTD_STEP_BYTES: Final = 512
MAX_MEMBERS: Final = 1_000
"""A body may consist of several gzip members or zstd frames; each costs a decompressor, even when it is empty."""

# RFC 9659 section 3: a zstd window in HTTP is at most 8 MB.
ZSTD_WINDOW_BYTES: Final = 8 * 1024 * 1024


class Stream(Protocol):
    """One gzip member, deflate stream or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def encoding_of(header: str) -> str:
    """The name of a Content-Encoding that `decompress` can undo; empty for none.

    Raises Refused(UNSUPPORTED_ENCODING). "x-gzip" is RFC 9110's old name of gzip (section 8.4.1.3).
    """
    name = header.strip().lower()
    if name in ("", "identity"):
        return ""
    if name in ("gzip", "x-gzip"):
        return "gzip"
    if name in ("deflate", "zstd"):
        return name
    raise Refused(Reason.UNSUPPORTED_ENCODING, "Content-Encoding must be gzip, deflate, zstd or identity.")


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """`body` without its encoding ("", "gzip", "deflate" or "zstd").

    Raises Refused(PAYLOAD_TOO_LARGE) as soon as more than `max_bytes` come out, and Refused(INVALID_BODY) when the
    body is damaged, truncated or followed by something else.
    """
    if not encoding:
        if len(body) > max_bytes:
            raise _too_large()
        return body
    try:
        if encoding == "gzip":
            return _inflate(body, lambda: zlib.decompressobj(31), DEFLATE_STEP_BYTES, max_bytes)
        if encoding == "deflate":
            window = 15 if _has_zlib_header(body) else -15
            return _inflate(body, lambda: zlib.decompressobj(window), DEFLATE_STEP_BYTES, max_bytes, max_members=1)
        return _inflate(body, _zstd_frame, ZSTD_STEP_BYTES, max_bytes)
    except (zlib.error, zstandard.ZstdError):
        raise Refused(Reason.INVALID_BODY, f"The body is not valid {encoding}.") from None


def _inflate(
    body: bytes, start: Callable[[], Stream], step_bytes: int, max_bytes: int, max_members: int = MAX_MEMBERS
) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    members = 0
    stream: Stream | None = None
    for offset in range(0, len(body), step_bytes):
        data = body[offset : offset + step_bytes]
        while data:
            if stream is None:
                members += 1
                if members > max_members:
                    raise Refused(Reason.INVALID_BODY, "The body has too many compressed parts.")
                stream = start()
            part = stream.decompress(data)
            size_bytes += len(part)
            if size_bytes > max_bytes:
                raise _too_large()
            parts.append(part)
            data = b""
            if stream.eof:
                data, stream = stream.unused_data, None
    if stream is not None or not members:
        raise Refused(Reason.INVALID_BODY, "The compressed body is truncated.")
    return b"".join(parts)


def _zstd_frame() -> Stream:
    return zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()


def _has_zlib_header(body: bytes) -> bool:
    """Some senders call a bare deflate stream "deflate", although RFC 9110 section 8.4.1.2 means zlib's format."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _too_large() -> Refused:
    return Refused(Reason.PAYLOAD_TOO_LARGE, "The body is larger than this server takes.")
