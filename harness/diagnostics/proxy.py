"""The proxies that the environment names: whether they answer, and what goes through them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from ...policies.remote.proxies import Proxy
from .checks import Cure, Finding, Status, ok

KINDS = ("ws", "wss", "socks", "https", "http")
WAIT_S = 3.0


def proxies() -> Iterator[Finding]:
    """One finding per proxy of the environment; none where there is no proxy."""
    from urllib.request import getproxies

    found = getproxies()
    for kind in KINDS:
        if found.get(kind):
            yield _examined(Proxy(kind, found[kind]))


def _examined(proxy: Proxy) -> Finding:
    name, variable = f"proxy {proxy.kind}", f"{proxy.kind.upper()}_PROXY"
    unset = Cure(hand=f"unset {variable} {variable.lower()}   (or export {variable}=http://PROXY:PORT)")
    if proxy.lacks_socks:
        why = "servers of policies beyond this network cannot be asked through it"
        return Finding(name, Status.note, f"{proxy}: python-socks is missing", why, Cure(pip=(("python-socks",),)))
    if problem := _unreachable(proxy):
        why = "downloads, and servers of policies beyond this network, are asked through it"
        return Finding(name, Status.note, f"{proxy} does not answer ({problem})", why, unset)
    return ok(name, f"{proxy} answers; servers on this machine and in private networks are asked directly")


def _unreachable(proxy: Proxy) -> str:
    """Why nothing listens at the proxy's address; empty where something does."""
    try:
        parts = urlsplit(proxy.address)
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        with socket.create_connection(place, timeout=WAIT_S):
            return ""
    except (OSError, ValueError) as error:
        return str(error)
