"""Which machines a download may reach: public ones, judged by the address that is connected to.

A provider names the URL of a result, and its answer may come from somebody who wants this machine
to read something else: the metadata service of a cloud, a router, a database on loopback. So names
are looked up here, every address is judged, and the connection is made to the very address that
was judged. A second look-up might answer otherwise (DNS rebinding).
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from batchkit._errors import ClientError

#: An IPv4 address in its last 32 bits, for networks that have IPv6 alone (RFC 6052, section 2.1).
_NAT64 = IPv6Network("64:ff9b::/96")

_REMEDY = "if it is your own server, set allow_private_downloads=True"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether *address* is one of the internet's.

    Loopback, private, link-local, multicast, unspecified and reserved ones are not, nor are IPv6
    addresses that stand for such an IPv4 one.
    """
    if isinstance(address, IPv6Address):
        inner = _ipv4_within(address)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _ipv4_within(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]


def public_addresses(host: str, port: int, where: str) -> list[str]:
    """The public addresses of *host*, in the order in which they are to be tried.

    Args:
        host: a name in ASCII, or an address.
        port: to connect to.
        where: how messages call the place.

    Raises:
        ClientError: it has none, or the name is not known.
    """
    found = _look_up(host, port, where)
    public = [address for address in found if is_public(ip_address(address))]
    if not public:
        raise ClientError(
            f"{where} cannot be downloaded: {found[0]} is not an address of the internet;"
            f" {_REMEDY}",
            code="address",
        )
    return public


def _look_up(host: str, port: int, where: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as exc:
        problem, retryable = f"its host is not known ({exc.strerror})", True
    except (UnicodeError, ValueError, OverflowError):
        problem, retryable = "its host is no name", False
    else:
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))
    raise ClientError(f"{where} cannot be downloaded: {problem}", code="dns", retryable=retryable)
