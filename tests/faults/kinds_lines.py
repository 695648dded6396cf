"""Damage to a run's files between two sessions: torn, flipped, doubled, altered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .bench import Bench
from .judge import Strike
from .kinds import kind

DAMAGED = r"line \d+ (is not|repeats)"
Lines = list[bytes]


def _pick(rng: np.random.Generator, lines: Lines) -> int:
    return int(rng.integers(len(lines)))


def _torn(rng: np.random.Generator, lines: Lines) -> Lines:
    return [*lines[:-1], lines[-1][: int(rng.integers(len(lines[-1])))]]


def _without_newline(rng: np.random.Generator, lines: Lines) -> Lines:
    return [*lines[:-1], lines[-1].rstrip(b"\n")]


def _zeros_at_the_end(rng: np.random.Generator, lines: Lines) -> Lines:
    return [*lines[:-1], lines[-1][: int(rng.integers(len(lines[-1])))] + bytes(int(rng.integers(1, 4096)))]


def _bit_flipped(rng: np.random.Generator, lines: Lines) -> Lines:
    at, line = _pick(rng, lines), bytearray()
    line += lines[at]
    line[int(rng.integers(len(line) - 1))] ^= 1 << int(rng.integers(8))
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def _digit_changed(rng: np.random.Generator, lines: Lines) -> Lines:
    """The worst case: the line is still a record, with a wrong value."""
    at, line = _pick(rng, lines), bytearray()
    line += lines[at]
    digits = [place for place, byte in enumerate(line) if chr(byte).isdigit()]
    place = int(rng.choice(digits))
    line[place] = ord(b"0") + (line[place] - ord(b"0") + int(rng.integers(1, 10))) % 10
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def _success_turned(rng: np.random.Generator, lines: Lines) -> Lines:
    at = _pick(rng, lines)
    pair = (b'"success":true', b'"success":false')
    old, new = pair if pair[0] in lines[at] else pair[::-1]
    return [*lines[:at], lines[at].replace(old, new), *lines[at + 1 :]]


def _block_lost(rng: np.random.Generator, lines: Lines) -> Lines:
    """A block of the disk that reads as zeros, before the last newline."""
    whole = b"".join(lines)
    start = int(rng.integers(len(whole) - 512))
    return [whole[:start], bytes(512), whole[start + 512 :]]


def _doubled(rng: np.random.Generator, lines: Lines) -> Lines:
    at = _pick(rng, lines)
    return [*lines[: at + 1], *lines[at:]]


def _merged(rng: np.random.Generator, lines: Lines) -> Lines:
    at = int(rng.integers(len(lines) - 1))
    return [*lines[:at], lines[at].rstrip(b"\n"), *lines[at + 1 :]]


def _garbage_between(rng: np.random.Generator, lines: Lines) -> Lines:
    at = _pick(rng, lines)
    return [*lines[:at], rng.bytes(int(rng.integers(1, 300))).replace(b"\n", b"") + b"\n", *lines[at:]]


def _empty_line(rng: np.random.Generator, lines: Lines) -> Lines:
    at = _pick(rng, lines)
    return [*lines[:at], b"\n", *lines[at:]]


WAYS: dict[str, tuple[Callable[[np.random.Generator, Lines], Lines], str]] = {
    "torn at the end": (_torn, ""),
    "newline missing": (_without_newline, ""),
    "zeros at the end": (_zeros_at_the_end, ""),
    "bit flipped": (_bit_flipped, DAMAGED),
    "digit changed": (_digit_changed, DAMAGED),
    "success turned": (_success_turned, DAMAGED),
    "block lost": (_block_lost, DAMAGED),
    "doubled": (_doubled, DAMAGED),
    "merged": (_merged, DAMAGED),
    "garbage between": (_garbage_between, DAMAGED),
    "empty line": (_empty_line, DAMAGED),
}
"""Name -> function that damages the lines, and what `verify` must find afterwards."""


@kind("line damaged", *WAYS, share=3)
def _(bench: Bench, rng, phase):
    damage, lasting = WAYS[phase]
    bench.half(int(rng.integers(2, len(bench.scenario.scenes))))
    lines = bench.episodes.read_bytes().splitlines(keepends=True)
    bench.episodes.write_bytes(b"".join(damage(rng, lines)))
    return Strike(None, lasting=lasting, twice=phase == "doubled")


@kind("action file damaged", "removed", "cut", "other numbers")
def _(bench: Bench, rng, phase):
    bench.half(int(rng.integers(2, len(bench.scenario.scenes))))
    path = sorted((bench.run / "actions").iterdir())[0]
    if phase == "removed":
        path.unlink()
    elif phase == "cut":
        path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])
    else:
        np.save(path, np.load(path) + 1)
    return Strike(None, lasting="cannot be read|is not the file that was recorded")
