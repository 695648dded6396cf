"""Registry of suites and policies by name, lazy and extended by entry points; objects by import path, installed or in a file."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from .errors import InputError, NoraBenchError, UnknownName, nearest

T = TypeVar("T")


class ObjectNotFound(InputError, ImportError, ValueError):
    """A reference that leads to no file, module or name, or is spelled otherwise; as opposed to code that cannot be imported."""


def load_object(reference: str) -> Any:
    """Import `package.module:Name` or `path/to/file.py:Name`.

    Raises ObjectNotFound where there is none, ImportError naming why existing code cannot be imported.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ObjectNotFound(f"{reference!r} is not of the form package.module:Name or path/to/file.py:Name", value=reference)
    module = _import_file(place) if is_file(reference) else _import(place, lambda: importlib.import_module(place))
    try:
        return getattr(module, name)
    except AttributeError:
        what = "" if is_file(reference) else "module "
        raise ObjectNotFound(f"{what}{place} has no {name!r}{nearest(name, vars(module))}", value=reference) from None


def _import_file(place: str) -> ModuleType:
    path = Path(place).expanduser()
    if not path.is_file():
        siblings = sorted(sibling.name for sibling in path.absolute().parent.glob("*.py"))
        raise ObjectNotFound(f"file not found: {path.absolute()}{nearest(path.name, siblings)}", value=place)
    return _import(place, lambda: import_file(path))


def _import(place: str, call: Callable[[], ModuleType]) -> ModuleType:
    """The module. Exceptions of its own code, SystemExit too, become an ImportError that names the place."""
    try:
        return call()
    except ModuleNotFoundError as error:
        if error.name and f"{place}.".startswith(f"{error.name}."):  # the named module, not one that it imports
            raise ObjectNotFound(str(error), value=place) from None
        raise
    except (ImportError, NoraBenchError):
        raise
    except (Exception, SystemExit) as error:
        raise ImportError(f"{place} raised {type(error).__name__}: {error}") from error


class Registry(Generic[T]):
    """Name -> object, given directly, as `module:attribute` to import at first use, or by entry point.

    An entry point that clashes with a built-in name is refused with both named; one that fails to import
    becomes one warning and is omitted, so that a broken plug-in never breaks the tool.
    """

    def __init__(self, kind: str, group: str, builtin: dict[str, str | T]) -> None:
        self.kind = kind
        self.group = group
        self._known: dict[str, Callable[[], T]] = {}
        self._scanned = False
        for name, value in builtin.items():
            self.add(name, value)

    def add(self, name: str, value: str | T) -> None:
        """Register one object. Raises ValueError for a name that is taken."""
        if name in self._known:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._known[name] = (lambda: load_object(value)) if isinstance(value, str) else (lambda: value)

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        for point in entry_points(group=self.group):
            if point.name in self._known:
                taken = f"plug-in {point.value} uses the name of the built-in {self.kind} {point.name!r}; omitted"
                warnings.warn(taken, stacklevel=3)
            else:
                self._known[point.name] = point.load

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        self._scan()
        return tuple(sorted(self._known))

    def get(self, name: str) -> T:
        """The object of that name. Raises UnknownName, ImportError."""
        self._scan()
        if name not in self._known:
            raise UnknownName(self.kind, name, self.names())
        try:
            return self._known[name]()
        except (ImportError, NoraBenchError):
            raise
        except (Exception, SystemExit) as error:  # of a plug-in's code
            raise ImportError(f"{self.kind} {name} raised {type(error).__name__}: {error}") from error


def is_file(reference: str) -> bool:
    """Whether a reference names an object in a file."""
    path, colon, _ = reference.rpartition(":")
    return bool(colon) and path.endswith(".py") and "://" not in reference


def absolute_reference(reference: str) -> str:
    """The reference with an absolute path, if it has a path, for a process in another working directory."""
    if not is_file(reference):
        return reference
    path, _, name = reference.rpartition(":")
    return f"{Path(path).expanduser().absolute()}:{name}"


def defined_names(path: Path) -> list[str]:
    """Classes and functions that a file defines, without executing it; empty if it is not valid Python."""
    import ast

    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    return [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]


def import_file(path: Path) -> ModuleType:
    """The file as a module. Raises FileNotFoundError, other OSErrors, and whatever the file itself raises.

    It is imported once, under a name made of its stem and a digest of its contents: files of the same name in different folders
    do not collide, and a changed file is a new module. Its folder is added to the import path.
    """
    import hashlib

    path = path.expanduser().resolve()
    text = path.read_bytes()
    name = f"{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{hashlib.sha256(text).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ != str(path):  # a copy in another folder
        name = f"{name}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
        known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
