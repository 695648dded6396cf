"""Objects in a Python file outside installed packages: `path/to/file.py:Name`.

The file is imported once, under a name made of its stem and a digest of its contents: files of the same name in different
folders do not collide, and a changed file is a new module. Its folder is added to the import path.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType


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
    """The file as a module. Raises FileNotFoundError, other OSErrors, and whatever the file itself raises."""
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
