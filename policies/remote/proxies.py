"""Proxy of a connection to a policy server: none for servers on this machine and in private networks.

From version 15 `websockets` takes the proxy of `HTTPS_PROXY` and the like by itself, also for a server on this machine, which no
proxy can reach. So every connection names its proxy explicitly.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

LOCAL = tuple(
    ip_network(one)
    for one in (
        *("0.0.0.0/32", "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::/128", "::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""Addresses of this machine and of networks that have no way in from outside."""
ORDER = {"ws": ("ws", "socks", "https", "http"), "wss": ("wss", "socks", "https")}
"""Scheme of a server -> kinds of proxies, the preferred first, as `websockets` has them."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names."""

    kind: str
    """Kind, as in `ORDER`."""
    address: str

    @property
    def speaks_socks(self) -> bool:
        """Whether it needs the package python-socks."""
        return urlsplit(self.address).scheme.startswith("socks")

    @property
    def lacks_socks(self) -> bool:
        """Whether it needs python-socks and that is not installed."""
        return self.speaks_socks and find_spec("python_socks") is None

    def __str__(self) -> str:
        """Variable and address, without the password that may be in it."""
        scheme, found, rest = self.address.rpartition("://")
        return f"{self.kind.upper()}_PROXY={scheme}{found}{rest.rpartition('@')[2]}"


def proxy_of(url: str) -> Proxy | None:
    """The proxy of the environment for a server at `ws://` or `wss://`; None for a direct connection."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    found = getproxies()
    kind = next((kind for kind in ORDER.get(parts.scheme, ()) if found.get(kind)), None)
    if kind is None or not parts.hostname or is_local(parts.hostname) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    address = found[kind]
    if kind == "socks" and address.startswith("http://"):
        address = address.replace("http://", "socks5h://", 1)
    return Proxy(kind, address)


@cache
def is_local(host: str) -> bool:
    """Whether a name or address is of this machine or of a private network; False for a name that cannot be resolved."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        places = {ip_address(host)}
    except ValueError:
        try:
            places = {ip_address(str(one[4][0]).partition("%")[0]) for one in socket.getaddrinfo(host, None)}
        except (OSError, ValueError):
            return False
    return all(any(place in network for network in LOCAL) for place in places)
