"""One websocket to a policy server, with timeouts and reconnection with back-off."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from ...envs.errors import PolicyError
from ..base import PolicyRequestError
from . import codec
from .proxies import Proxy, proxy_of

TOKEN = "NORA_BENCH_TOKEN"
"""Environment variable with the server's token; an argument would end up in run.json."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
OPEN_S = 10.0
"""Seconds that one attempt to connect may take."""


class ConnectionLost(Exception):
    """The connection has broken."""


class Connection:
    """A websocket and its greeting. `send` and `receive` raise ConnectionLost where it breaks; then `open` it again."""

    def __init__(
        self, url: str, greet: Callable[[Connection], Any], *, request_timeout_s: float, connect_timeout_s: float
    ) -> None:
        self.url = url
        self.request_timeout_s = request_timeout_s
        """Seconds that a response may take."""
        self.connect_timeout_s = connect_timeout_s
        """Seconds of attempts to connect."""
        self.opened = 0
        """Number of times it was opened."""
        self.sent = self.received = 0
        """Bytes."""
        self._greet = greet
        self._socket: Any = None
        self._hold = ExitStack()

    def open(self) -> Any:
        """Connect, with retries; returns the result of the greeting. Raises PolicyError after `connect_timeout_s`."""
        end, pause = time.monotonic() + self.connect_timeout_s, FIRST_PAUSE_S
        while True:
            try:
                return self._open()
            except (OSError, ConnectionLost) as error:
                if time.monotonic() + pause > end:
                    raise PolicyError(
                        f"no server responds at {self.url} ({error}); {self._through_proxy()}start one with `nora-bench serve "
                        "--policy NAME`, or wait longer for it with --policy-arg connect_timeout_s=300"
                    ) from None
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _through_proxy(self) -> str:
        proxy = _proxy(self.url)
        return f"the request went through the proxy {proxy}; {_directly(self.url)}, or " if proxy else ""

    def _open(self) -> Any:
        self.close()
        self._socket = _connect(self.url, self._hold)
        self.opened += 1
        return self._greet(self)

    def send(self, data: bytes) -> None:
        """Send one message."""
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            raise ConnectionLost("the connection is closed")
        try:
            self._socket.send(data)
        except (ConnectionClosed, OSError) as error:
            raise ConnectionLost(str(error)) from None
        self.sent += len(data)

    def receive(self) -> bytes | str:
        """The next message. Raises PolicyError after `request_timeout_s`."""
        from websockets.exceptions import ConnectionClosed

        try:
            data = self._socket.recv(timeout=self.request_timeout_s)
        except TimeoutError:
            raise PolicyError(
                f"the server at {self.url} did not respond within {self.request_timeout_s:g} s; allow more with "
                "--policy-arg request_timeout_s=600"
            ) from None
        except (ConnectionClosed, OSError) as error:
            raise ConnectionLost(str(error)) from None
        self.received += len(data)
        return data

    def close(self) -> None:
        """Close the websocket."""
        self._socket = None
        self._hold.close()


def _connect(url: str, hold: ExitStack) -> Any:
    """An open websocket, until `hold` is closed.

    Raises OSError or ConnectionLost where another attempt may help, else PolicyError.
    """
    try:
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
        from websockets.sync.client import connect
    except ImportError:
        raise PolicyError("remote policies need the extra [remote]: pip install 'nora-bench[remote]'") from None
    token = os.environ.get(TOKEN)
    proxy = _proxy(url)
    if proxy and proxy.lacks_socks:
        raise PolicyError(f"{url} is reached through {proxy}, which needs: pip install python-socks; {_directly(url)}")
    through: dict[str, Any] = {"proxy": proxy.address if proxy else None} if _takes_proxies() else {}
    try:
        connection = connect(
            url,
            additional_headers={"Authorization": f"Api-Key {token}"} if token else None,
            compression=None,
            max_size=codec.MAX_MESSAGE,
            open_timeout=OPEN_S,
            close_timeout=1,
            **through,
            ping_interval=None,  # a model that compiles may hold its server for a minute; reads have their own timeout
        )
        return hold.enter_context(connection)
    except InvalidURI as error:
        raise PolicyRequestError(f"policy {url}: {error}", option="--policy", value=url) from None
    except InvalidStatus as error:
        if error.response.status_code in (401, 403):
            raise PolicyError(f"the server at {url} requires a token: set {TOKEN} to the one it was started with") from None
        raise ConnectionLost(str(error)) from None
    except InvalidHandshake as error:
        raise ConnectionLost(str(error)) from None
    except WebSocketException as error:
        if proxy is None:
            raise ConnectionLost(str(error)) from None
        raise PolicyError(f"{url} cannot be reached through {proxy}: {error}; {_directly(url)}") from None


def _proxy(url: str) -> Proxy | None:
    return proxy_of(url) if _takes_proxies() else None


def _takes_proxies() -> bool:
    """Whether `websockets` goes through proxies; before version 15 it supports none."""
    return int(version("websockets").partition(".")[0]) >= 15


def _directly(url: str) -> str:
    return f"to connect directly: export NO_PROXY={urlsplit(url).hostname}"
