"""Typing errors: keyed, few, readable."""

import re
from difflib import SequenceMatcher

import numpy as np
import pytest
from nora_bench.envs import suites
from nora_bench.envs.perturbations.typos import REAL_WORDS, WORDS_PER_SLIP, typo, typos

INSTRUCTIONS = [task.instruction for suite in (*suites.LIBERO, "libero_90") for task in suites.get(suite).tasks]


def test_same_generator_makes_the_same_errors():
    text = "pick up the black bowl on the stove and place it on the plate"
    assert typo(text, np.random.default_rng(3)) == typo(text, np.random.default_rng(3))
    assert len({typo(text, np.random.default_rng(seed)) for seed in range(20)}) > 15


@pytest.mark.parametrize("seed", range(3))
def test_text_stays_readable(seed):
    for text in INSTRUCTIONS:
        changed = typo(text, np.random.default_rng(seed))
        slips = max(1, round(len(text.split()) / WORDS_PER_SLIP))
        assert changed != text
        assert abs(len(changed) - len(text)) <= slips
        assert SequenceMatcher(None, text, changed, autojunk=False).ratio() > 0.9
        assert re.fullmatch("[a-z ]+", changed)


@pytest.mark.parametrize("seed", range(3))
def test_words_keep_their_ends_and_become_no_other_word(seed):
    for text in INSTRUCTIONS:
        changed = typo(text, np.random.default_rng(seed)).split(" ")
        assert not (set(changed) - set(text.split())) & REAL_WORDS
        if len(changed) == len(text.split()):
            for before, after in zip(text.split(), changed, strict=True):
                assert (before[0], before[-1]) == (after[0], after[-1])
                assert len(before) >= 4 or before == after


def test_words_that_are_too_short_stay():
    assert typo("go", np.random.default_rng(0)) == "go"
    assert typos("go", 3) == ()


def test_first_errors_of_a_text_differ():
    found = typos("open the middle drawer of the cabinet", 8)
    assert len(set(found)) == 8
    assert found[:5] == typos("open the middle drawer of the cabinet", 5)
