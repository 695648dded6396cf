"""Every public name has a docstring, and no function is longer than 40 lines."""

import ast
from collections.abc import Iterator

from test_layers import MODULES, tree

LONGEST = 40
"""Lines of a function's body, without its signature and docstring."""


def undocumented(module: ast.Module) -> Iterator[str]:
    """Public classes, functions and methods without a docstring. Methods of a contract are described there."""
    if not ast.get_docstring(module):
        yield "the module"
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield node.name
        if isinstance(node, ast.ClassDef) and not node.bases and "for the contract" not in (ast.get_docstring(node) or ""):
            methods = [member for member in node.body if isinstance(member, ast.FunctionDef)]
            yield from (f"{node.name}.{m.name}" for m in methods if not m.name.startswith("_") and not ast.get_docstring(m))


def test_public_names_have_docstrings():
    missing = {name: names for name in MODULES if (names := list(undocumented(tree(name))))}
    assert missing == {}


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of the body without its docstring; a long list of parameters is a table, not logic."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_fit_on_a_page():
    functions = [(name, node) for name in MODULES for node in ast.walk(tree(name)) if isinstance(node, ast.FunctionDef)]
    assert [f"{name}.{node.name}" for name, node in functions if body_lines(node) > LONGEST] == []
