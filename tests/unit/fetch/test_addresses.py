"""Which addresses are public, and which hosts the operator named."""

import pytest

from haiga.core.errors import Invalid
from haiga.services.fetch import Hosts, is_public

INSIDE = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.8.8.8 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8
    192.88.99.1 192.0.2.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1
    255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
    64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1
    3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%lo fec0::1 ff02::1 ff0e::1
    localhost 127.1 0x7f000001
"""
OUTSIDE = """
    1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.32.0.1 223.255.255.255
    ::ffff:8.8.8.8 64:ff9b::808:808 2606:4700:4700::1111 2a00:1450:4001:80b::200e
"""


@pytest.mark.parametrize("address", INSIDE.split())
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE.split())
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def resolving(*addresses: str, named: tuple[str, ...] = ()) -> Hosts:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return addresses

    return Hosts(named, resolve)


async def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(Invalid, match=r"^files\.example: has no public address$"):
        await resolving("93.184.216.34", "10.0.0.1").addresses("files.example", 443)


async def test_a_host_that_is_unknown_and_one_that_is_inside_get_the_same_refusal() -> None:
    told = []
    for hosts in (resolving(), resolving("127.0.0.1")):
        with pytest.raises(Invalid) as refusal:
            await hosts.addresses("internal", 80)
        told.append(str(refusal.value))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("named", "host", "port", "passes"),
    [
        ("internal", "internal", 8080, True),
        ("internal", "INTERNAL.", 80, True),
        ("internal:8080", "internal", 8080, True),
        ("internal:8080", "internal", 80, False),
        ("internal", "other.internal", 80, False),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
    ],
)
async def test_a_host_is_reached_inside_only_as_it_was_named(named: str, host: str, port: int, passes: bool) -> None:
    hosts = resolving("10.0.0.1", named=(named,))
    if passes:
        assert ("10.0.0.1",) == await hosts.addresses(host, port)
    else:
        with pytest.raises(Invalid):
            await hosts.addresses(host, port)


async def test_the_systems_resolver_reads_odd_spellings_of_loopback_before_they_are_judged() -> None:
    for spelled in ("127.1", "0x7f000001", "2130706433", "localhost"):
        with pytest.raises(Invalid):
            await Hosts().addresses(spelled, 80)
