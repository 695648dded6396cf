"""Templates of plug-in packages with a policy or a suite, written by `nora-bench new`.

A file `NAME.txt` below `policy/` or `suite/` becomes NAME; `TESTS` and `MODULE` in its path, and `$name`, `$module`, `$cls`,
`$title` in its text, become those of the plug-in.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from ...envs.errors import InputError


def write(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the template of a `policy` or `suite` of that name into a new folder; return its files. Raises InputError."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", name):
        raise InputError(f"invalid plug-in name {name!r}: use lower-case letters and digits, with - or _ between, like my-{kind}")
    if folder.exists():
        raise InputError(f"{folder} exists; choose another name, or another folder with --out")
    words = re.split("[_-]", name)
    names = {
        "name": name,
        "module": name.replace("-", "_"),
        "cls": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
    }
    return [_write(source, folder, path, names) for path, source in _sources(files(__name__) / kind)]


def _sources(at: Traversable, path: str = "") -> list[tuple[str, Traversable]]:
    """(path below the plug-in's folder, file) of every file."""
    if at.is_file():
        return [(path.removesuffix(".txt"), at)]
    entries = sorted(at.iterdir(), key=lambda entry: entry.name)
    return [source for entry in entries for source in _sources(entry, f"{path}/{entry.name}")]


def _write(source: Traversable, folder: Path, path: str, names: dict[str, str]) -> Path:
    target = folder / path.lstrip("/").replace("MODULE", names["module"]).replace("TESTS", "tests")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(Template(source.read_text(encoding="utf-8")).substitute(names), encoding="utf-8")
    return target
