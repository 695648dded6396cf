"""Which action tokens can follow, so that a generated answer is exactly one chunk.

A FAST token is a piece of bytes: some number of coefficients (characters in UTF-8), possibly with a part of one at either
end. The coefficients still missing and the bytes begun decide which tokens can follow: those from which a chunk of the right
length, with every coefficient inside the tokenizer's fitted range, can still be completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.types import Array
from ..fast import FastError, FastTokenizer

INVALID = -1
"""No character continues these bytes."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Tables over states and tokens; state 0 stands between two characters, the others inside of one.

    Shapes: N coefficients of a chunk, S states, K action tokens.
    """

    allowed: Array
    """[N + 1, S, K] bool: with n coefficients missing and in state s, token k can follow."""
    completed: Array
    """[S, K] int64: coefficients that the token completes."""
    following: Array
    """[S, K] int64: state after the token; 0 where it cannot follow."""
    most_tokens: int
    """Upper bound on the length of an answer, with the end of the turn."""


def token_rules(fast: FastTokenizer, tokens: int, coefficients: int) -> TokenRules:
    """The tables for chunks of so many coefficients (actions times action size) and the first `tokens` ids.

    Raises:
        FastError: no sequence of tokens is such a chunk.
    """
    states, longest = _states(fast.codes())
    pieces = [fast.token_bytes(token) for token in range(tokens)]
    following = np.full((len(states), tokens), INVALID, np.int64)
    completed = np.zeros_like(following)
    for state in range(len(states)):
        for token, piece in enumerate(pieces):
            following[state, token], completed[state, token] = _read(states, state, piece)
    allowed = _completable(following, completed, coefficients)
    if not allowed[coefficients, 0].any():
        raise FastError(f"the action tokenizer has no answer of {coefficients} coefficients; take decoding=free")
    return TokenRules(allowed, completed, np.maximum(following, 0), coefficients * longest + 1)


def _states(codes: Sequence[int]) -> tuple[list[Mapping[int, int]], int]:
    """Automaton of the characters' UTF-8: per state, byte -> next state, 0 after a last byte; and the longest character."""
    states: list[Mapping[int, int]] = [{}]
    known: dict[tuple[tuple[int, int], ...], int] = {}

    def add(endings: list[bytes]) -> int:
        """The state from which exactly these endings complete a character; equal states are one."""
        by_byte: dict[int, list[bytes]] = {}
        for ending in endings:
            by_byte.setdefault(ending[0], []).append(ending[1:])
        moves = tuple((byte, 0 if rest == [b""] else add(rest)) for byte, rest in by_byte.items())
        if moves not in known:
            known[moves] = len(states)
            states.append(dict(moves))
        return known[moves]

    texts = [chr(code).encode() for code in codes]
    states[0] = states[add(texts)]
    return states, max(map(len, texts))


def _read(states: Sequence[Mapping[int, int]], state: int, piece: bytes) -> tuple[int, int]:
    """State after the bytes, `INVALID` where they cannot follow or are none, and the characters completed."""
    completed = 0
    for byte in piece:
        state = states[state].get(byte, INVALID)
        if state == INVALID:
            return INVALID, 0
        completed += state == 0
    return (state, completed) if piece else (INVALID, 0)


def _completable(following: Array, completed: Array, coefficients: int) -> Array:
    """[N + 1, S, K] bool: tokens after which the rest of a chunk exists.

    A token that completes nothing only goes deeper into a character, so the states are repeated until nothing changes.
    """
    states, tokens = following.shape
    possible = np.zeros((coefficients + 1, states), bool)
    possible[0, 0] = True
    allowed = np.zeros((coefficients + 1, states, tokens), bool)
    for missing in range(coefficients + 1):
        while True:
            left = missing - completed
            allowed[missing] = (following != INVALID) & (left >= 0) & possible[np.maximum(left, 0), np.maximum(following, 0)]
            reached = possible[missing] | allowed[missing].any(axis=1)
            if (reached == possible[missing]).all():
                break
            possible[missing] = reached
    return allowed
