"""Deliveries to real servers: what is sent, what repeats, what ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.spine.forward.conftest import Backend, leased
from tests.support.server import until

from raingauge.forward.forwarder import Forwarder
from raingauge.forward.outbox import Outbox, Settled

Open = Callable[..., Outbox]
Backends = Callable[..., Backend]
REFUSING = "http://127.0.0.1:1"
"""Nobody listens there."""


@contextmanager
def forwarding(outbox: Outbox, *urls: str, secret: str = "s3cret") -> Iterator[Forwarder]:
    forwarder = Forwarder(
        outbox,
        urls=urls,
        paths={"flags.write": "/v1/clientFlagLogs:write"},
        secret=secret,
        origin="here",
        timeout_seconds=5,
    )
    try:
        yield forwarder
    finally:
        forwarder.close()


def settled(outbox: Outbox, **expected: int) -> None:
    """Wait until so many messages ended so."""
    until(lambda: {Settled(how): count for how, count in expected.items()}.items() <= outbox.level().settled.items())


def test_the_backend_gets_the_original_bytes(open_outbox: Open, backends: Backends) -> None:
    """Body, content type and encoding as they came; the backend's credential; a key to recognise a repetition."""
    backend = backends()
    outbox = open_outbox()
    outbox.put([leased(7, b"\x1f\x8b as it came")])
    with forwarding(outbox, backend.url + "/"):
        settled(outbox, delivered=1)
    [(path, headers, body)] = backend.received
    assert ("/v1/clientFlagLogs:write", b"\x1f\x8b as it came") == (path, body)
    expected = {
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "authorization": "ClientSecret s3cret",
        "idempotency-key": "here-7",
    }
    assert expected.items() <= headers.items()
    assert 0 == outbox.level().messages


def test_without_a_secret_no_credential_is_sent(open_outbox: Open, backends: Backends) -> None:
    """Least of all the sender's own."""
    backend = backends()
    outbox = open_outbox()
    outbox.put([leased(1)])
    with forwarding(outbox, backend.url, secret=""):
        settled(outbox, delivered=1)
    assert "authorization" not in backend.received[0][1]


def test_a_failing_backend_is_asked_again(open_outbox: Open, backends: Backends) -> None:
    """5xx and 429 are repeated until the message is taken, always under the same key."""
    backend = backends((503, {}), (429, {"Retry-After": "0"}))
    outbox = open_outbox()
    outbox.put([leased(1)])
    with forwarding(outbox, backend.url) as forwarder:
        until(lambda: forwarder.problem == "HTTP 503")
        clock_goes_on(outbox)
        settled(outbox, delivered=1)
        assert "" == forwarder.problem
    assert ["here-1"] * 3 == [headers["idempotency-key"] for _, headers, _ in backend.received]


def clock_goes_on(outbox: Outbox) -> None:
    """Let the outbox have real time from now on, so that what is due later becomes due."""
    import time

    outbox._clock = time.time


def test_retry_after_is_honoured(open_outbox: Open, backends: Backends) -> None:
    """A backend that asks for a minute is not asked again at once."""
    backend = backends((503, {"Retry-After": "60"}))
    outbox = open_outbox()
    outbox.put([leased(1)])
    with forwarding(outbox, backend.url) as forwarder:
        until(lambda: forwarder.problem == "HTTP 503")
        clock = outbox._clock
        clock.now += 59  # type: ignore[attr-defined]
        assert outbox.take(0) is None
        clock.now += 2  # type: ignore[attr-defined]
        assert outbox.take(0) is not None


def test_the_fallback_takes_what_the_first_does_not(open_outbox: Open, backends: Backends) -> None:
    """Whether the first does not answer, is busy, or does not want it."""
    for first in (REFUSING, backends((500, {})).url, backends((401, {})).url):
        fallback = backends()
        outbox = open_outbox()
        before = outbox.level().settled[Settled.DELIVERED_TO_FALLBACK]
        outbox.put([leased(before + 1)])
        with forwarding(outbox, first, fallback.url):
            settled(outbox, delivered_to_fallback=before + 1)
        assert 1 == len(fallback.received)


def test_an_error_of_ours_is_final(open_outbox: Open, backends: Backends) -> None:
    """Repeating a refused message would be refused again; it is counted, and the next one goes on."""
    backend = backends((400, {}))
    outbox = open_outbox()
    outbox.put([leased(1)])
    with forwarding(outbox, backend.url):
        settled(outbox, refused=1)
        outbox.put([leased(2)])
        settled(outbox, refused=1, delivered=1)
    assert 2 == len(backend.received)


def test_a_message_that_always_fails_holds_nobody_up(open_outbox: Open, backends: Backends) -> None:
    """Others pass it."""
    backend = backends((500, {"Retry-After": "300"}))
    outbox = open_outbox()
    outbox.put([leased(1)])
    with forwarding(outbox, backend.url) as forwarder:
        until(lambda: forwarder.problem == "HTTP 500")
        outbox.put([leased(number) for number in range(2, 6)])
        settled(outbox, delivered=4)
    assert 1 == outbox.level().messages
