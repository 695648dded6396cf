"""Names and text use the words of the glossary in CONTRIBUTING.md, and none of those that it rules out."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from test_layers import ROOT

GLOSSARY = "CONTRIBUTING.md"
CODE = ("api", "envs", "policies", "results", "harness", "training", "docs", "requirements")
ALLOWED_NAMES = {"desk_caddy", "legs"}
"""Names that stay: LIBERO's class of an object, and the legs of a table."""
ALLOWED_TEXT = {
    "harness/cli/__init__.py": "former spellings of options",
    "results/trials.py": "a text of run.json",
    "envs/libero/assets/standin/backdrops.py": "a picture on a wall",
    "results/report/page.py": "identifiers in the page's JavaScript",
    "results/report/sections.py": "identifiers in the page's JavaScript",
}
"""Files whose text may contain the words, and why."""


def banned(column: int) -> list[str]:
    """Words of the glossary's last two columns: 2 for names, 3 for text."""
    table = (ROOT / GLOSSARY).read_text(encoding="utf-8").partition("## Glossary")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    return [word for row in rows for word in map(str.strip, row[column].split(",")) if word]


NAMES = {form for word in banned(2) for form in (word, f"{word}s")}
TEXT = re.compile(rf"\b({'|'.join(sorted(banned(3), key=len, reverse=True))})s?\b(?!['’])", re.IGNORECASE)


@cache
def parsed(path: Path) -> ast.Module:
    """Syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def defined(path: Path) -> Iterator[str]:
    """Names that a module defines: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words(name: str) -> set[str]:
    """Lower-case parts of a snake_case or CamelCase name."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def code_texts(path: Path) -> Iterator[str]:
    """Comments and the strings with spaces: docstrings, help, errors. Strings without a space are names, maybe on disk."""
    yield from re.findall(r"(?:^|\s)# .*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield re.sub(r"`[^`]*`", "", node.value)


def page_text(path: Path) -> str:
    """Prose of a page or settings file: no code, no link targets, and of the glossary's file no glossary."""
    text = path.read_text(encoding="utf-8")
    if path.name == GLOSSARY:
        before, _, after = text.partition("## Glossary")
        text = before + after.partition("\n## ")[2]
    return re.sub(r"^```.*?^```$|`[^`\n]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)


MODULES = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
SUFFIXES = (".toml", ".yaml", ".yml", ".ini")
SETTINGS = sorted(
    path
    for path in (*ROOT.iterdir(), *(path for folder in (*CODE, "tests") for path in (ROOT / folder).rglob("*")))
    if path.suffix in SUFFIXES
)
"""Package settings, protocols, layouts, recipes; their comments are text, too."""
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def require_none(offenders: dict[Path, set[str]]) -> None:
    """Fail with one line per file that uses a word which the glossary rules out."""
    lines = [f"{path.relative_to(ROOT)}: {', '.join(sorted(found))}" for path, found in offenders.items() if found]
    if lines:
        pytest.fail("the glossary of CONTRIBUTING.md has other words for these:\n" + "\n".join(lines), pytrace=False)


def test_glossary_rules_out_words_for_names_and_text():
    assert "picture" in NAMES
    assert TEXT.search("The Pictures of a run.")
    assert not TEXT.search("It won't.")


@pytest.mark.parametrize("name", ["open_film", "FilmedRun", "WON", "pictures"])
def test_ruled_out_word_is_found_in_a_name(name):
    assert words(name) & NAMES


def test_names_in_code_use_the_glossary():
    offenders = {}
    for path in MODULES:
        offenders[path] = {name for name in set(defined(path)) - ALLOWED_NAMES if words(name) & NAMES}
    require_none(offenders)


def test_text_in_code_uses_the_glossary():
    offenders = {}
    for path in MODULES:
        if path.relative_to(ROOT).as_posix() not in ALLOWED_TEXT:
            offenders[path] = {match[0].lower() for text in code_texts(path) for match in TEXT.finditer(text)}
    require_none(offenders)


def test_settings_files_use_the_glossary():
    assert {"pyproject.toml", "tox.ini", "protocols.toml", "nano-sft.yaml"} <= {path.name for path in SETTINGS}
    offenders = {path: {match[0].lower() for match in TEXT.finditer(page_text(path))} for path in SETTINGS}
    require_none(offenders)


def test_pages_use_the_glossary():
    offenders = {path: {match[0].lower() for match in TEXT.finditer(page_text(path))} for path in PAGES}
    require_none(offenders)
