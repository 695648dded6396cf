"""Every public name says what it is. What fulfils a contract is described there and may stay silent."""

import ast

import pytest
from test_layers import MODULES


def silent(tree: ast.Module) -> list[str]:
    """Public classes, functions and methods without a docstring."""
    found = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found += _silent_members(node)
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node):
            found.append(node.name)
    return found


def _silent_members(node: ast.ClassDef) -> list[str]:
    methods = [member for member in node.body if isinstance(member, ast.FunctionDef) and not member.name.startswith("_")]
    described = "for the contract" in (ast.get_docstring(node) or "") or node.bases
    return [] if described else [f"{node.name}.{method.name}" for method in methods if not ast.get_docstring(method)]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name):
    assert silent(ast.parse(MODULES[name].read_text(encoding="utf-8"))) == []


LONGEST = 40
"""Lines of a function."""


@pytest.mark.parametrize("name", MODULES)
def test_no_function_is_longer_than_a_page(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert {f.name: lines for f in functions if (lines := _lines(f)) > LONGEST} == {}


def _lines(function: ast.FunctionDef) -> int:
    """Lines of the body without its docstring; a long list of parameters is a table, not logic."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
