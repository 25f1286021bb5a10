"""Addresses that we are told to call: nothing that leads inside, nothing that can be read in two ways (X21)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.errors import Refused
from apportion.model.endpoint import public, read_endpoint

GOOD = {
    "https://example.com": ("example.com", 443, "/"),
    "https://Hooks.Example.com:8443/a/b?c=d&e=%20": ("hooks.example.com", 8443, "/a/b?c=d&e=%20"),
    "https://93.184.216.34/x": ("93.184.216.34", 443, "/x"),
    "https://[2606:2800:220:1:248:1893:25c8:1946]/": ("2606:2800:220:1:248:1893:25c8:1946", 443, "/"),
    "https://xn--bcher-kva.example/": ("xn--bcher-kva.example", 443, "/"),
}
BAD = [
    # other schemes, no TLS
    "http://example.com/", "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "//example.com/",
    "HTTPS://example.com/", "https:/example.com/", "https:example.com", "javascript:alert(1)",
    # user, fragment, control, spaces, backslashes, other alphabets
    "https://user@example.com/", "https://user:word@example.com/", "https://example.com@127.0.0.1/",
    "https://example.com/#x", "https://example.com\\@127.0.0.1/", "https://exa mple.com/",
    "https://example.com/\r\nX: y",
    "https://example.com\t/", "https://exämple.com/", "https://example.com/\x00", "https://ⓔxample.com/", " https://example.com/",
    "https://127。0。0。1/",
    # ports
    "https://example.com:25/", "https://example.com:22/", "https://example.com:0/", "https://example.com:65536/",
    "https://example.com:+443/", "https://example.com:/", "https://example.com:443:443/", "https://example.com:0443/",
    # literal addresses of the inside, in every dress
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/",
    "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.1./", "https://0/", "https://0.0.0.0/",
    "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.0.1/", "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/", "https://198.18.0.1/", "https://192.0.2.1/", "https://224.0.0.1/", "https://255.255.255.255/",
    "https://168.63.129.16/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://1.2.3.04/",
    "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[fec0::1]/",
    "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/", "https://[ff02::1]/",
    "https://[2001:db8::1]/", "https://[::127.0.0.1]/", "https://[example.com]/", "https://[127.0.0.1]/", "https://[]/",
    # names that only the inside knows, and names that are none
    "https://localhost/", "https://metadata/", "https://.example.com/", "https://example..com/", "https://-a.example.com/",
    "https://example.com-/", "https://" + "a" * 64 + ".com/", "https://" + "a." * 130 + "com/", "https:///x", "https://",
    "", "https://example.com/" + "a" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_what_everybody_can_reach_is_taken(url: str) -> None:
    found = read_endpoint(url)
    assert (found.host, found.port, found.target) == GOOD[url] and found.scheme == "https"


@pytest.mark.parametrize("url", BAD)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        read_endpoint(url)
    assert refused.value.refusal.field == "url"


def test_the_inside_is_for_those_who_ask_for_it() -> None:
    found = read_endpoint("http://127.0.0.1:81/x", private=True)
    assert (found.scheme, found.authority, found.target) == ("http", "127.0.0.1:81", "/x")
    assert read_endpoint("http://localhost/", private=True).authority == "localhost"
    assert read_endpoint("https://[::1]:8443/", private=True).authority == "[::1]:8443"
    for url in ("file:///x", "http://a@127.0.0.1/", "http://2130706433/"):
        with pytest.raises(Refused):
            read_endpoint(url, private=True)


@given(st.integers(0, 2**32 - 1))
def test_an_inner_address_is_seen_through_every_wrapping(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    for prefix in (0xFFFF << 32, 0x64FF9B << 96, 0x2002 << 112):
        shift = 80 if prefix == 0x2002 << 112 else 0
        assert public(ipaddress.IPv6Address(prefix | number << shift)) <= public(inner)
