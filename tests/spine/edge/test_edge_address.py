from __future__ import annotations

from typing import Any

import pytest

from raingauge.edge.address import Addresses
from raingauge.errors import SettingError

PROXIES = "10.0.0.0/8, 192.0.2.1, fd00::/8"


def scope(client: str, *forwarded: str, proto: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    if proto:
        headers.append((b"x-forwarded-proto", proto.encode()))
    return {"client": (client, 1234), "headers": headers, "scheme": "http"}


@pytest.mark.parametrize(
    ("expected", "trusted", "client", "forwarded"),
    [
        ("203.0.113.7", "", "203.0.113.7", ["198.51.100.1"]),
        ("203.0.113.7", PROXIES, "203.0.113.7", ["198.51.100.1"]),
        ("198.51.100.1", PROXIES, "10.1.2.3", ["198.51.100.1"]),
        ("198.51.100.1", PROXIES, "10.1.2.3", ["1.2.3.4, 198.51.100.1"]),
        ("198.51.100.1", PROXIES, "10.1.2.3", ["1.2.3.4, 198.51.100.1, 192.0.2.1"]),
        ("198.51.100.1", PROXIES, "10.1.2.3", ["1.2.3.4", "198.51.100.1", "10.9.9.9"]),
        ("10.9.9.9", PROXIES, "10.1.2.3", ["10.9.9.9"]),
        ("10.1.2.3", PROXIES, "10.1.2.3", []),
        ("10.1.2.3", PROXIES, "10.1.2.3", ["1.2.3.4, made-up"]),
        ("2001:db8:1:2::/64", PROXIES, "fd00::1", ["2001:db8:1:2:3:4:5:6"]),
        ("2001:db8:1:2::/64", "", "2001:db8:1:2:ffff::1", []),
        ("203.0.113.7", "", "::ffff:203.0.113.7", []),
    ],
)
def test_client_is_the_rightmost_address_that_is_no_trusted_proxy(
    expected: str, trusted: str, client: str, forwarded: list[str]
) -> None:
    """A sender cannot choose its own address by writing the header itself."""
    assert expected == Addresses(trusted).client_key(scope(client, *forwarded))


def test_scheme_is_believed_from_trusted_proxies_only() -> None:
    """Only a proxy we know may say that the client came by https."""
    addresses = Addresses(PROXIES)
    assert "https" == addresses.scheme(scope("10.1.2.3", proto="https"))
    assert "http" == addresses.scheme(scope("203.0.113.7", proto="https"))
    assert "http" == addresses.scheme(scope("10.1.2.3", proto="gopher"))


def test_bad_network_is_named_at_the_start() -> None:
    """A misspelt proxy stops the start and names the setting."""
    with pytest.raises(SettingError, match=r"RAINGAUGE_TRUSTED_PROXIES.*'10.0.0.0/99'"):
        Addresses("127.0.0.1, 10.0.0.0/99")
