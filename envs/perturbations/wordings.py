"""Reader of wordings of instructions, which are stored as TOML.

One table per instruction: `instruction`, the task's own, and a list of texts for each kind of `envs.instructions`. Rules:

- lower case, as the benchmarks' own instructions are; no full stop at the end. `typo` texts are the first ones that
  `envs.perturbations.typos` makes of the instruction.
- every text names the objects and the goal so that it fits no other task of the scene, in plain English.
- nothing is copied from other collections of instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..instructions import KINDS, TYPO, Wording
from . import typos

LONGEST = 160
"""Characters of the longest text."""
TYPO_SOURCE = f"rule of envs/perturbations/typos.py, version {typos.VERSION}"


@dataclass(frozen=True, slots=True)
class Wordings:
    """The wordings of a suite."""

    version: int
    """Grows when a text changes, comes or goes."""
    source: str
    texts: Mapping[str, tuple[Wording, ...]]
    """Instruction -> its wordings."""


def read_wordings(text: str, origin: str) -> Wordings:
    """The wordings in a TOML document. Raises InputError naming `origin`, table and field of the first mistake."""
    import tomllib  # not in the workers, which may run Python 3.10

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin}: not TOML: {error}") from None
    version, source = tables.pop("version", None), tables.pop("source", None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(f"{origin}: version must be a whole number from 1, not {version!r}")
    if not isinstance(source, str) or not source:
        raise InputError(f"{origin}: source must name the author, not {source!r}")
    found: dict[str, tuple[Wording, ...]] = {}
    for name, table in tables.items():
        instruction, wordings = _table(table, f"{origin}: [{name}]", source)
        if instruction in found:
            raise InputError(f"{origin}: [{name}] repeats the instruction {instruction!r}")
        found[instruction] = wordings
    return Wordings(version, source, found)


def _table(table: Any, where: str, source: str) -> tuple[str, tuple[Wording, ...]]:
    if not isinstance(table, dict):
        raise InputError(f"{where} must be a table, not {table!r}")
    if unknown := sorted(set(table) - {"instruction", *KINDS}):
        raise InputError(f"{where}: unknown field {unknown[0]!r}; expected instruction, {', '.join(KINDS)}")
    instruction = _text(table.get("instruction"), f"{where} instruction")
    found: dict[str, Wording] = {}
    for kind in KINDS:
        texts = table.get(kind, [])
        if not isinstance(texts, list):
            raise InputError(f"{where} {kind} must be a list of texts, not {texts!r}")
        for number, given in enumerate(texts, start=1):
            text = _text(given, f"{where} {kind} {number}")
            if text.casefold() in found or text.casefold() == instruction.casefold():
                raise InputError(f"{where} {kind} {number} repeats {text!r}")
            found[text.casefold()] = Wording(text, kind, TYPO_SOURCE if kind == TYPO else source)
    return instruction, tuple(found.values())


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise InputError(f"{where} must be one line of ASCII text, not {value!r}")
    if value != " ".join(value.split()) or not 0 < len(value) <= LONGEST:
        raise InputError(f"{where} must have 1 to {LONGEST} characters and single spaces, not {value!r}")
    return value
