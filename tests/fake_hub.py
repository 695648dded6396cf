"""A Hugging Face hub in miniature: one dataset repository over HTTP, laid out and answering as the real one does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves `files` (path -> content) as the newest commit of a dataset; can cut, harm or refuse what it sends."""

    def __init__(self, repository: str, files: Mapping[str, bytes], large: tuple[str, ...] = ()) -> None:
        self.repository, self.files, self.large = repository, dict(files), large
        self.harmed: set[str] = set()
        """Files that arrive with a byte changed."""
        self.refused: set[str] = set()
        """Files for which the connection breaks off half-way."""
        self.sent: list[str] = []
        """Files whose content was asked for."""

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = request.path.partition("?")[0]
        listing = f"/api/datasets/{self.repository}"
        content = f"/datasets/{self.repository}/resolve/{COMMIT}/"
        if path.startswith(f"{listing}/tree/"):
            self._json(request, [self._entry(name) for name in self.files])
        elif path == listing or path.startswith(f"{listing}/revision/"):
            self._json(request, {"id": self.repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]})
        elif path.startswith(content) and path.removeprefix(content) in self.files:
            self._content(request, path.removeprefix(content), body=body)
        else:
            request.send_error(404)

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob_id(content)}
        if name in self.large:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def _json(self, request: BaseHTTPRequestHandler, value: Any) -> None:
        text = json.dumps(value).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _content(self, request: BaseHTTPRequestHandler, name: str, *, body: bool) -> None:
        content = self.files[name]
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest() if name in self.large else blob_id(content)}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.end_headers()
        if not body:
            return
        self.sent.append(name)
        if name in self.refused:
            request.wfile.write(content[: len(content) // 2])
            request.connection.close()
        else:
            request.wfile.write(bytes([content[0] ^ 1]) + content[1:] if name in self.harmed else content)


def blob_id(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
