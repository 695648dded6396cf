"""Policies in another process or machine, by address.

| address | server |
| --- | --- |
| `ws://host:port`, `wss://...` | `nora-bench serve`, or any server of openpi's wire protocol |
| `vla-eval://host:port` | a model server of the PyPI package `vla-eval` |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..base import Policy, PolicyRequestError

SCHEMES = ("ws", "wss", "vla-eval")


def policy_at(address: str) -> Callable[..., Policy]:
    """The constructor of the policy that is served at `scheme://host:port`. Raises PolicyRequestError for another scheme."""
    scheme, _, place = address.partition("://")
    if scheme not in SCHEMES or not place:
        forms = ", ".join(f"{known}://host:port" for known in SCHEMES)
        raise PolicyRequestError(f"policy {address!r}: a server is named as {forms}", option="--policy", value=address)
    if scheme == "vla-eval":
        from .vla_eval import VlaEvalPolicy

        return partial(VlaEvalPolicy, f"ws://{place}")
    from .openpi import connect

    return partial(connect, address)
