"""Registry of suites and policies by name: lazy, extended by entry points, with suggestions for misspelt names."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from . import source_files
from .errors import UnknownName, nearest

T = TypeVar("T")


def load_object(reference: str) -> Any:
    """Import `package.module:Name` or `path/to/file.py:Name`.

    Raises ValueError for other spellings, ImportError naming what is missing, or why it cannot be imported.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ValueError(f"{reference!r} is not of the form package.module:Name or path/to/file.py:Name")
    module = _import_file(place) if source_files.is_file(reference) else _import(place, lambda: importlib.import_module(place))
    try:
        return getattr(module, name)
    except AttributeError:
        what = "" if source_files.is_file(reference) else "module "
        raise ImportError(f"{what}{place} has no {name!r}{nearest(name, vars(module))}") from None


def _import_file(place: str) -> ModuleType:
    path = Path(place).expanduser()
    if not path.is_file():
        siblings = sorted(sibling.name for sibling in path.absolute().parent.glob("*.py"))
        raise ImportError(f"file not found: {path.absolute()}{nearest(path.name, siblings)}")
    return _import(place, lambda: source_files.import_file(path))


def _import(place: str, call: Callable[[], ModuleType]) -> ModuleType:
    """The module. Exceptions of its own code become an ImportError that names the place."""
    try:
        return call()
    except ImportError:
        raise
    except Exception as error:
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
        """The object of that name. Raises UnknownName."""
        self._scan()
        if name not in self._known:
            raise UnknownName(self.kind, name, self.names())
        return self._known[name]()
