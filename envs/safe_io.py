"""Safe reading and writing of files.

Readers accept files from untrusted sources and return plain values; each raises OSError for a file that cannot be read and
ValueError for any other defect. They execute nothing, unpickle nothing, and bound memory by the size on disk, not by what a
header claims. `atomic_write` replaces a file in one step.
"""

from __future__ import annotations

import glob
import hashlib
import json
import lzma
import math
import os
import re
import struct
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

LARGEST_ARRAYS = 1 << 30
"""Bytes that the arrays of one file may take in memory."""
LARGEST_JSON = 1 << 28
"""Bytes of the largest JSON file that is read."""
DEEPEST = 64
"""Levels of lists and objects within each other."""

_ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u00(0[0-8bce-f]|1[0-9a-f]|7f|[89][0-9a-f])", re.IGNORECASE)
_RAW = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
"""Control characters within JSON text, but for tab, line feed and carriage return."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def parse_json(text: str | bytes) -> Any:
    """The JSON value of a text in UTF-8."""
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()  # half of a character can be read, and never be written again
    _check_depth(value)
    return value


def visible(text: bytes) -> bytes:
    """A JSON text in whose strings control characters of a terminal are spelled out: printing it cannot control a terminal."""
    if b"\\u00" in text or b"\x7f" in text or b"\xc2" in text:
        text = _ESCAPED.sub(rb"\1\\\\u00\2", text)
        return _RAW.sub(lambda match: b"\\\\u00%02x" % match[0][-1], text)
    return text


def _check_depth(value: Any) -> None:
    """Raises ValueError for a value on which a reader that calls itself would fail."""
    level = [value]
    for _ in range(DEEPEST):
        level = [part for parent in level if isinstance(parent, dict | list) for part in _parts(parent)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _parts(parent: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return parent.values() if isinstance(parent, dict) else parent


def read_json(path: Path) -> Any:
    """The JSON value in a file."""
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path.stat().st_size} bytes exceed the limit of {LARGEST_JSON} for a JSON file")
    return parse_json(path.read_bytes())


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"it contains a {type(value).__name__}, not an object")
    return value


def is_finite(value: Any) -> TypeGuard[int | float]:
    """Whether it is a number, no truth value, that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def parse_yaml(text: str) -> Any:
    """The plain values of a YAML text; without aliases, by which a short text can stand for a very long one, and without
    repeated keys, of which all but the last would have no effect."""
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not taken; write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            known: set[tuple[str, str]] = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if (key.tag, str(key.value)) in known:
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1} repeats the key {key.value}; write it once")
                known.add((key.tag, str(key.value)))
            return super().construct_mapping(node, deep)

    try:
        value = yaml.load(text, Plain)  # SafeLoader's tags alone
        _check_depth(value)
        return value
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:  # a tag whose value is no such value: any error of its constructor
        raise ValueError(f"{type(error).__name__}: {error}") from None


def read_array(path: Path) -> np.ndarray:
    """The array of plain numbers in a .npy file."""
    with path.open("rb") as handle:
        _check_header(handle, path.stat().st_size)
    return np.load(path, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Name -> array of plain numbers or texts, of a .npz file."""
    with zip_errors(), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > LARGEST_ARRAYS:
            raise ValueError("its arrays exceed {LARGEST_ARRAYS} bytes")
        for member in members:
            with archive.open(member) as handle:
                _check_header(handle, member.file_size, "fiubUS")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _check_header(handle: Any, size: int, kinds: str = "fiub") -> None:
    """Raises ValueError where what follows is no array of these kinds that fits into `size` bytes."""
    if size > LARGEST_ARRAYS:
        raise ValueError(f"{size} bytes exceed the limit of {LARGEST_ARRAYS} for an array")
    shape, dtype = npy_header(handle)
    if dtype.kind not in kinds:
        raise ValueError(f"it contains {dtype}, not plain numbers")
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError("its header does not fit its contents")


def npy_header(handle: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type that a .npy file claims to hold; `handle` stands at its start."""
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(handle)
    if version not in readers:
        raise ValueError(f"a .npy file of format {version}")
    try:
        shape, _, dtype = readers[version](handle)
    except ValueError:
        raise
    except Exception as error:  # numpy reads the header as a Python literal, with all that can go wrong there
        raise ValueError(f"its header is invalid: {type(error).__name__}: {error}") from None
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, dtype


@contextmanager
def zip_errors() -> Iterator[None]:
    """Turn the errors of `zipfile` for invalid archives into ValueError."""
    kinds = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, KeyError, OverflowError)
    try:
        yield
    except (*kinds, struct.error, AttributeError) as error:
        raise ValueError(f"it is not a readable archive: {type(error).__name__}: {error}") from None


def is_name(text: Any) -> bool:
    """Whether a text from a file can be the name of a file or folder: letters, digits, `_`, `-` and `.`, no path."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def inside(folder: Path, name: Any) -> Path:
    """The file of that name below a folder, links followed. Raises ValueError for a name that leads out of it."""
    if not isinstance(name, str) or "\0" in name:
        raise ValueError(f"{name!r} is not a file name")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} leads out of {folder}")
    return path


@contextmanager
def atomic_write(path: Path, *, suffix: str = ".tmp") -> Iterator[Path]:
    """A scratch path beside `path`, which replaces `path` when the block ends and is deleted where the block raises.

    A reader or a crash meets the old file or the new one, never a part.

    Args:
        path: the file to write.
        suffix: ending of the scratch file, for writers that choose the format by it.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}{suffix}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def delete_leftovers(path: Path) -> None:
    """Delete the scratch files of `path` that `atomic_write` left in processes of this machine that were killed."""
    for scratch in path.parent.glob(f".{glob.escape(path.name)}.*"):
        process = scratch.name[len(path.name) + 2 :].split(".")[0]
        if process.isdigit() and not _runs(int(process)):
            scratch.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
