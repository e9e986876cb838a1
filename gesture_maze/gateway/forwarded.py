"""The client address of a request: the peer's or, with `--behind-proxy`, the one in the proxy's headers.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

PROTO: Final = "x-forwarded-proto"
FOR: Final = "x-forwarded-for"
IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that distinguish clients: one household, or one attacker, has a whole /64."""
ENCRYPTED: Final = frozenset({"https", "wss"})


def last_entry(values: Sequence[str]) -> str:
    """Return the entry that the proxy itself wrote, or "".

    That is the last one: all entries before it are what the client claims.
    """
    return values[-1].rpartition(",")[2].strip() if values else ""


def encrypted(values: Sequence[str]) -> bool:
    """Return whether the client reached the proxy by https or wss, by the values of X-Forwarded-Proto."""
    return last_entry(values).lower() in ENCRYPTED


def address_of(text: str) -> str:
    """Return an address without brackets, port and zone: `[fe80::1%eth0]:443` gives `fe80::1`.

    Text that is not an address is returned as it is, cut to 64 characters.
    """
    found = text.strip()
    if found.startswith("["):
        found = found[1:].partition("]")[0]
    elif found.count(":") == 1:
        found = found.partition(":")[0]
    try:
        parsed = ip_address(found.partition("%")[0])
    except ValueError:
        return text[:64]
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def network_of(address: str) -> str:
    """Return the network that limits count by: an IPv4 address, or the /64 of an IPv6 address."""
    found = address_of(address)
    try:
        parsed = ip_address(found)
    except ValueError:
        return found
    if parsed.version == 4:
        return found
    return str(IPv6Network((parsed, IPV6_PREFIX), strict=False))
