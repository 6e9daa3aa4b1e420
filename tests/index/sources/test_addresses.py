"""Addresses inside one's own network are refused, however they are written or resolved."""

from __future__ import annotations

import pytest

from expertrag_index.loaders.base import Unreadable
from expertrag_index.sources.addresses import refusal, refuse_none, resolve, resolve_address

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.0.9": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "fd00::1": "private",
    "fec0::1": "private",
    "100.64.0.1": "reserved",
    "192.0.2.1": "private",
    "240.0.0.1": "private",
    "255.255.255.255": "private",
    "169.254.169.254": "link-local",
    "fe80::1%eth0": "link-local",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::127.0.0.1": "reserved",
    "64:ff9b::7f00:1": "loopback (inside IPv6)",
    "64:ff9b::a9fe:a9fe": "link-local (inside IPv6)",
    "64:ff9b:1::1": "NAT64",
    "2002:7f00:1::": "loopback (inside IPv6)",
    "no address": "unreadable",
}


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_refused(address: str, reason: str) -> None:
    assert refusal(address) == reason
    with pytest.raises(Unreadable, match="which is refused") as refused:
        resolve_address("pages.example", 80, lambda *_: [address], refusal)
    assert "--allow-private-addresses" in refused.value.cure
    assert resolve_address("x", 80, lambda *_: [address], refuse_none) == address


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_ones_are_not(address: str) -> None:
    assert refusal(address) == ""
    assert resolve_address("x", 443, lambda *_: [address], refusal) == address


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::1]"])
def test_other_ways_to_write_loopback(host: str) -> None:
    with pytest.raises(Unreadable):
        resolve_address(host.strip("[]"), 80, resolve, refusal)


def test_one_refused_address_among_others_refuses_the_host() -> None:
    with pytest.raises(Unreadable, match=r"10\.0\.0\.1"):
        resolve_address("x", 80, lambda *_: ["8.8.8.8", "10.0.0.1"], refusal)


def test_a_host_without_an_address() -> None:
    with pytest.raises(Unreadable, match="has no address"):
        resolve_address("nowhere.invalid", 80, lambda *_: [], refuse_none)
