"""Objects in a Python file that is no installed module: `path/to/file.py:Name`.

The file is imported once under a name of its own, made of its stem and its contents, so that files of one name in different
folders do not meet, and a file that was changed is another module. Its folder is a place to look for what it imports.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType


def is_file(reference: str) -> bool:
    """Whether it names something in a file."""
    path, colon, _ = reference.rpartition(":")
    return bool(colon) and path.endswith(".py") and "://" not in reference


def absolute_reference(reference: str) -> str:
    """The same reference for a process that works in another folder: with an absolute path, where it has a path."""
    if not is_file(reference):
        return reference
    path, _, name = reference.rpartition(":")
    return f"{Path(path).expanduser().absolute()}:{name}"


def defined_names(path: Path) -> list[str]:
    """Classes and functions that a file defines, without running it; none where it is no Python."""
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
