"""Addresses of others that we are told to call: read strictly, and kept away from the inside of any network.

A name is not enough to judge by: whoever calls resolves it, judges every address it stands for, and connects to the
one that was judged. Source of the cases: CWE-918, RFC 6890, RFC 3986.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from apportion.errors import RefusalCode, Refused, refuse

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[!$&'()*+,\-./0-9:;=@A-Z_a-z~%]*)?(?P<query>\?[!$&'()*+,\-./0-9:;=?@A-Z_a-z~%]*)?"
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_PORTS = {"http": 80, "https": 443}
#: a public address of a cloud that answers with secrets of the machine
_NEVER = frozenset({ipaddress.ip_address("168.63.129.16")})
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Endpoint(msgspec.Struct, frozen=True):
    """An address to call: ``host`` is a name in lower case or a literal address without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def literal(self) -> Address | None:
        """The address itself when the host is one."""
        return _literal(self.host)

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header says them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_endpoint(url: str, *, private: bool = False, field: str = "url") -> Endpoint:
    """An address as it is written; ``private`` allows plain HTTP, any port, and the insides of networks.

    Raises:
        Refused: BAD_INPUT, when it could be read in two ways or leads where nobody outside may send us.
    """
    found = _URL.fullmatch(url) if len(url) <= 2000 else None
    if found is None:
        raise _refused(field, "is no plain address.", "Such as https://example.com/hooks, without user, # or spaces.")
    scheme, host = found["scheme"], found["host"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if scheme != "https" and not private:
        raise _refused(field, "is not https.", "Only addresses with TLS are called.")
    if port > 65535 or (not private and port != 443 and port < 1024):
        raise _refused(field, "names a port that is not called.", "Use 443, or one from 1024 on.")
    bare = host.strip("[]")
    literal = _literal(bare)
    if literal is None and (host.startswith("[") or not _is_name(bare) or ("." not in bare and not private)):
        raise _refused(field, "names no host that can be looked up.", "Write the name, or the address in full.")
    if literal is not None and not private and not public(literal):
        raise _refused(field, "leads into a network that is not public.", "Name a host that everybody can reach.")
    return Endpoint(scheme, str(literal) if literal is not None else bare, port, _target(found))


def public(address: Address) -> bool:
    """Whether an address lies outside all private, local and special networks, also once it is unwrapped."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and any(address in network for network in _TRANSLATED):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return public(inner)
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    return address.is_global and not special and address not in _NEVER


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """A DNS name; not what some resolvers would take for a number (``127.1``, ``0x7f000001``, ``2130706433``)."""
    labels = host.split(".")
    last = labels[-1]
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 253:
        return False
    return not (last.isdecimal() or re.fullmatch("0x[0-9a-f]*", last))


def _target(found: re.Match[str]) -> str:
    return (found["path"] or "/") + (found["query"] or "")


def _refused(field: str, message: str, fix: str) -> Refused:
    return refuse(RefusalCode.BAD_INPUT, message, field=field, fix=fix)
