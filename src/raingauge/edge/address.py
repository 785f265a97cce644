"""Whose request it is when nothing but the address tells: a key for limits, never stored and never logged."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from raingauge.edge.ports import Scope
from raingauge.errors import SettingError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Addresses:
    """Finds the client behind the proxies that the setting `trusted_proxies` names."""

    def __init__(self, trusted_proxies: str) -> None:
        self._networks = _networks(trusted_proxies)
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)

    def client_key(self, scope: Scope) -> str:
        """The client's address; of an IPv6 address its /64, because that is what one subscriber gets.

        X-Forwarded-For counts only when the connection itself comes from a trusted proxy, and then the rightmost
        address that is not a trusted proxy: everything left of it is the client's own claim.
        """
        client = scope.get("client")
        host: str = client[0] if client else ""
        if self._networks and self._trusts(host):
            for hop in reversed(_list_header(scope, b"x-forwarded-for")):
                if not _address(hop):
                    break
                host = hop
                if not self._trusts(hop):
                    break
        return _subscriber(host) if ":" in host else host

    def scheme(self, scope: Scope) -> str:
        """How the client connected: "http" or "https"."""
        client = scope.get("client")
        if self._networks and client and self._trusts(client[0]):
            forwarded = _list_header(scope, b"x-forwarded-proto")
            if forwarded and forwarded[-1] in ("http", "https"):
                return forwarded[-1]
        scheme: str = scope.get("scheme", "http")
        return scheme

    def _is_trusted(self, host: str) -> bool:
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)


def _networks(setting: str) -> Sequence[Network]:
    networks = []
    for text in filter(None, map(str.strip, setting.split(","))):
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise SettingError(
                f"RAINGAUGE_TRUSTED_PROXIES: {text!r} is not an address or a network like 10.0.0.0/8"
            ) from None
    return networks


def _list_header(scope: Scope, name: bytes) -> list[str]:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [item.strip() for item in ",".join(values).split(",") if item.strip()]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _subscriber(host: str) -> str:
    address = _address(host)
    if not isinstance(address, ipaddress.IPv6Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
