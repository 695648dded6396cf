"""A headless Chromium, driven over its debugging pipe: no driver, no library, no port."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE_S = 30


class Page:
    """One open page."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._session: str | None = None
        self._buffer = b""
        self._number = 0
        self.requests: list[str] = []
        """Addresses that the page asked for, its own file and data inside it left out."""
        self.loaded = False
        self.complaints: list[str] = []
        """Errors and refusals that the browser logged."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one protocol call."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._from], [], [], DEADLINE_S)[0], f"the browser said nothing for {DEADLINE_S} s"
            part = os.read(self._from, 1 << 16)
            assert part, "the browser has gone"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("data:", "file:")):
            self.requests.append(parameters["request"]["url"])
        if event.get("method") == "Page.loadEventFired":
            self.loaded = True
        if event.get("method") == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])

    def open(self, path: Path) -> None:
        """Load a file and wait until it has run."""
        self.loaded = False
        self.call("Page.navigate", url=path.as_uri())
        while not self.loaded:
            self._note(self._read())

    def run(self, script: str) -> Any:
        """Value of a script, promises awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """A browser with one page, gone afterwards."""
    browser_reads, we_write = os.pipe()
    we_read, browser_writes = os.pipe()
    options = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --remote-debugging-pipe"
    call = f"{shlex.quote(program)} {options} --user-data-dir={shlex.quote(str(profile))}"
    command = f"exec {call} 3<&{browser_reads} 4>&{browser_writes}"
    fds = (browser_reads, browser_writes)
    process = subprocess.Popen(["bash", "-c", command], pass_fds=fds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for fd in fds:
        os.close(fd)
    try:
        yield Page(we_write, we_read)
    finally:
        process.kill()
        process.wait()
        os.close(we_write)
        os.close(we_read)
