from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import zstandard
from edge_parts import AUTH  # type: ignore[import-not-found]
from hypothesis import given
from hypothesis import strategies as st

from raingauge.edge.encoding import decompress, encoding_of
from raingauge.errors import Reason, Refused

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def streamed_zstd(data: bytes) -> bytes:
    """A frame that does not say how large its content is."""
    packer = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compressobj()
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "identity": ("", bytes),
    "gzip": ("gzip", partial(gzip.compress, mtime=0)),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("zstd", zstandard.compress),
    "zstd without size": ("zstd", streamed_zstd),
}
COMPRESSED = {name: packer for name, packer in PACKERS.items() if name != "identity"}
SEVERAL = {name: packer for name, packer in COMPRESSED.items() if packer[0] != "deflate"}


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.binary(max_size=5000).flatmap(lambda part: st.sampled_from([part, part * 50])))
def test_what_was_packed_comes_out(name: str, data: bytes) -> None:
    """Any content in any supported encoding arrives unchanged, up to exactly the bound."""
    encoding, pack = PACKERS[name]
    assert data == decompress(pack(data), encoding, max(1, len(data)))


@pytest.mark.parametrize("name", SEVERAL)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=5))
def test_concatenated_parts_are_one_body(name: str, parts: list[bytes]) -> None:
    """Several gzip members or zstd frames in a row are the concatenation of their contents."""
    encoding, pack = SEVERAL[name]
    assert b"".join(parts) == decompress(b"".join(map(pack, parts)), encoding, 100_000)


@pytest.mark.parametrize("name", COMPRESSED)
@given(data=st.binary(max_size=3000), cut=st.integers(1, 10_000))
def test_truncated_body_is_refused(name: str, data: bytes, cut: int) -> None:
    """A body that ends too early is never taken for a complete one."""
    encoding, pack = COMPRESSED[name]
    packed = pack(data)
    with pytest.raises(Refused) as caught:
        decompress(packed[: -min(cut, len(packed))], encoding, 100_000)
    assert Reason.INVALID_BODY == caught.value.reason


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(data=st.binary(max_size=300))
def test_noise_is_refused_or_harmless(encoding: str, data: bytes) -> None:
    """No bytes make it fail in another way than by refusing them."""
    with suppress(Refused):
        assert len(decompress(data, encoding, 10_000)) <= 10_000


@pytest.mark.parametrize("name", PACKERS)
def test_one_byte_over_the_bound_is_too_large(name: str) -> None:
    """The bound counts what comes out."""
    encoding, pack = PACKERS[name]
    with pytest.raises(Refused) as caught:
        decompress(pack(b"x" * 1001), encoding, 1000)
    assert Reason.PAYLOAD_TOO_LARGE == caught.value.reason


@pytest.mark.parametrize("name", COMPRESSED)
def test_bomb_costs_little_more_memory_than_the_bound(name: str) -> None:
    """A small body that would become huge is given up early."""
    encoding, pack = COMPRESSED[name]
    bomb = pack(bytes(100 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(Refused) as caught:
            decompress(bomb, encoding, MIB)
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    finally:
        tracemalloc.stop()
    assert Reason.PAYLOAD_TOO_LARGE == caught.value.reason


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"") * 50_000),
        ("zstd", zstandard.compress(b"") * 50_000),
        ("gzip", gzip.compress(b"fine") + b"and more"),
        ("deflate", zlib.compress(b"fine") + b"and more"),
        ("deflate", zlib.compress(b"one") + zlib.compress(b"two")),
        ("gzip", b""),
        ("zstd", b""),
        # A frame header that asks for a window of 1 GiB.
        ("zstd", b"\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00"),
    ],
    ids=["members", "frames", "gzip tail", "deflate tail", "two streams", "no gzip", "no zstd", "huge window"],
)
def test_odd_bodies_are_refused(encoding: str, body: bytes) -> None:
    """Endless empty parts, anything after the end, nothing at all and oversized windows are not decompressed."""
    with pytest.raises(Refused) as caught:
        decompress(body, encoding, MIB)
    assert Reason.INVALID_BODY == caught.value.reason


@pytest.mark.parametrize(
    ("header", "name"),
    [("", ""), ("identity", ""), ("GZIP", "gzip"), ("x-gzip", "gzip"), (" deflate ", "deflate"), ("zstd", "zstd")],
)
def test_encoding_names_are_read_as_http_means_them(header: str, name: str) -> None:
    """Case and spaces do not matter, and identity is none."""
    assert name == encoding_of(header)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("size", [5, 300_000, 3_000_000])
def test_compressed_request_is_checked_plain_and_queued_as_sent(client: Any, name: str, size: int) -> None:
    """The contract sees what was meant, the queue keeps what was sent, for small bodies and for large ones."""
    encoding, pack = PACKERS[name]
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = client.post("/v1/things", pack(plain), headers={**AUTH, "Content-Encoding": encoding or "identity"})
    assert (202, {"size": size}) == (answer.status_code, answer.json())
    (message,) = client.parts.queue.messages
    assert (pack(plain), encoding) == (message.body, message.content_encoding)


def test_bomb_is_413_for_its_sender(make_client: Callable[..., Any]) -> None:
    """A request that grows beyond the limit is too large, although it was small on the wire."""
    client = make_client(body_max_decompressed_bytes=2 * MIB)
    headers = {**AUTH, "Content-Encoding": "gzip"}
    assert 413 == client.post("/v1/things", gzip.compress(bytes(3 * MIB)), headers=headers).status_code
    assert 202 == client.post("/v1/things", gzip.compress(bytes(2 * MIB)), headers=headers).status_code
    assert 413 == client.post("/v1/small", gzip.compress(bytes(1001)), headers=headers).status_code
