"""Checks of the proxies in the environment variables."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from ...policies.remote.proxies import Proxy
from .checks import CheckResult, Fix, Status, ok

KINDS = ("ws", "wss", "socks", "https", "http")
WAIT_S = 3.0


def proxies() -> Iterator[CheckResult]:
    """One check per proxy of the environment variables."""
    from urllib.request import getproxies

    addresses = getproxies()
    for kind in KINDS:
        if addresses.get(kind):
            yield _check(Proxy(kind, addresses[kind]))


def _check(proxy: Proxy) -> CheckResult:
    name, variable = f"proxy {proxy.kind}", f"{proxy.kind.upper()}_PROXY"
    unset = Fix(manual=f"unset {variable} {variable.lower()}   (or export {variable}=http://PROXY:PORT)")
    if proxy.lacks_socks:
        reason = "policy servers outside this network are unreachable without it"
        return CheckResult(name, Status.note, f"{proxy}: python-socks is missing", reason, Fix(pip=(("python-socks",),)))
    if problem := _unreachable(proxy):
        reason = "downloads and policy servers outside this network are reached through it"
        return CheckResult(name, Status.note, f"{proxy} does not answer ({problem})", reason, unset)
    return ok(name, f"{proxy} answers; servers on this machine and in private networks are reached directly")


def _unreachable(proxy: Proxy) -> str:
    """Cause why the proxy cannot be reached; empty where it can."""
    try:
        parts = urlsplit(proxy.address)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        with socket.create_connection(address, timeout=WAIT_S):
            return ""
    except (OSError, ValueError) as error:
        return str(error)
