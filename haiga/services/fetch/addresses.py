"""Where a URL may lead: public addresses, and hosts that the operator named.

Rule: a name is resolved once, here, and the connection is made to the very address that was judged: no second answer
of a name server (DNS rebinding) can lead it elsewhere.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from haiga.core.errors import Invalid

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port; none for an unknown one."""

UNICAST = IPv6Network("2000::/3")  # all that is assigned of the global IPv6 addresses
# special by IANA's registries, but global for `ipaddress`: protocols, 6to4 (RFC 7526), documentation (RFC 9637)
NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")))
NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address behind a translator (RFC 6052)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet: not to this machine, a private network, a provider's own
    (CGNAT), a link, a group, or a reserved range, also when written as IPv6."""
    try:
        judged = _unwrapped(ip_address(address))
    except ValueError:
        return False
    if any(judged in network for network in NOT_PUBLIC) or (judged.version == 6 and judged not in UNICAST):
        return False
    return judged.is_global and not judged.is_multicast


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one that only stands for it."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    if isinstance(address, IPv6Address) and address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


async def resolve(host: str, port: int) -> Sequence[str]:
    """By the system's resolver, best first."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts may be reached. `named` are those that may have any address, as HOST or HOST:PORT."""

    named: Collection[str] = ()
    resolve: Resolve = resolve

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses to connect to. Raises Invalid unless all of them are public or the host is named."""
        found = await self.resolve(host, port)
        if not found or not (self.names(host, port) or all(map(is_public, found))):
            # one answer to both: who may not go there does not learn which names there are
            raise Invalid(f"{host}: has no public address", code="url_refused")
        return found

    def names(self, host: str, port: int) -> bool:
        """Whether the operator named this host. An IPv6 address is named in brackets when a port follows."""
        plain = host.lower().rstrip(".")
        both = f"[{plain}]:{port}" if ":" in plain else f"{plain}:{port}"
        return any(name.lower() in (plain, f"[{plain}]", both) for name in self.named)
