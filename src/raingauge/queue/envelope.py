"""How a message lies on disk: compressed, then sealed with AES-256-GCM.

    payload = AES-256-GCM(data key, nonce = message id, associated data = message id and every plain column,
                          plaintext = length of idempotency key (4 bytes) | idempotency key | body)

The body is a zstd frame of level 1, except when it came compressed: then it stays as it came. A data key seals in one
process only and message ids ascend there even when a commit fails, so the id never repeats under a key and may be the
nonce. The associated data ties a payload to its row: swapping payloads or customers in the file is noticed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raingauge.errors import RaingaugeError
from raingauge.queue import Message

_LENGTH_BYTES: Final = 4
_NONCE_BYTES: Final = 12


class Unreadable(RaingaugeError):
    """A payload that cannot be opened; the message says why and nothing about the content."""


class Sealer:
    """Seals messages. Not safe from two threads: the compressor is reused."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1)

    def seal(self, key: AESGCM, message_id: int, message: Message) -> bytes:
        idempotency_key = message.idempotency_key.encode()
        body = message.body if message.content_encoding else self._compressor.compress(message.body)
        plain = b"".join((len(idempotency_key).to_bytes(_LENGTH_BYTES, "big"), idempotency_key, body))
        return key.encrypt(_nonce(message_id), plain, _bound(message_id, message))


def unseal(key: AESGCM, message_id: int, envelope: Message) -> Message:
    """The message whose plain columns and payload (as `body`) are `envelope`. Raises Unreadable."""
    try:
        plain = key.decrypt(_nonce(message_id), envelope.body, _bound(message_id, envelope))
    except InvalidTag:
        raise Unreadable("the sealed body does not match its row or its key") from None
    start = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    body = plain[start:]
    if not envelope.content_encoding:
        body = zstandard.ZstdDecompressor().decompress(body)
    return replace(envelope, body=body, idempotency_key=plain[_LENGTH_BYTES:start].decode())


def _nonce(message_id: int) -> bytes:
    return message_id.to_bytes(_NONCE_BYTES, "big")


def _bound(message_id: int, message: Message) -> bytes:
    columns = (message.intake, message.customer, message.content_type, message.content_encoding, message.token_label)
    return msgspec.json.encode((message_id, *columns))
