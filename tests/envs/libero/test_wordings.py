"""Wordings of LIBERO's instructions: number and balance, the words that they must and must not contain."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from nora_bench.envs import suites
from nora_bench.envs.instructions import KINDS, TYPO
from nora_bench.envs.libero.tasks import load_tasks
from nora_bench.envs.libero.wordings import load_wordings
from nora_bench.envs.perturbations.axes import axes
from nora_bench.envs.perturbations.typos import typos

LEXICON = tomllib.loads((Path(__file__).parent / "wordings_lexicon.toml").read_text(encoding="utf-8"))
CONCEPTS = {name: re.compile(pattern) for name, pattern in LEXICON["concepts"].items()}
TASKS = [(suite, task) for suite in suites.LIBERO for task in load_tasks(suite)]
IDS = [f"{suite}-{task.id}" for suite, task in TASKS]
each_task = pytest.mark.parametrize(("suite", "task"), TASKS, ids=IDS)


def wordings(suite, task):
    return load_wordings(suite).texts[task.instruction]


def fits(suite, text):
    """Tasks of the suite whose concepts the text names, all of them."""
    names = LEXICON["tasks"][suite]
    return [int(task.removeprefix("task")) for task in names if all(CONCEPTS[name].search(text) for name in names[task])]


@each_task
def test_task_has_twenty_wordings_balanced_over_kinds(suite, task):
    kinds = Counter(wording.kind for wording in wordings(suite, task))
    assert kinds.total() >= 20
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 5
    assert max(kinds.values()) - min(kinds.values()) <= 1


@pytest.mark.parametrize("suite", suites.LIBERO)
def test_instructions_of_the_file_are_those_of_the_suite(suite):
    assert list(load_wordings(suite).texts) == [task.instruction for task in load_tasks(suite)]


def test_no_text_occurs_twice_and_none_is_an_original():
    texts = [wording.text.casefold() for suite, task in TASKS for wording in wordings(suite, task)]
    assert len(texts) >= 800
    assert not [text for text, count in Counter(texts).items() if count > 1]
    assert not set(texts) & {task.instruction.casefold() for _, task in TASKS}


@each_task
def test_wording_names_what_its_task_needs_and_fits_no_other_task(suite, task):
    for wording in wordings(suite, task):
        if wording.kind != TYPO:
            assert fits(suite, wording.text) == [task.id], wording.text


@each_task
def test_typing_errors_are_those_of_the_rule(suite, task):
    texts = [wording.text for wording in wordings(suite, task) if wording.kind == TYPO]
    assert texts == list(typos(task.instruction, len(texts)))


@each_task
def test_wording_does_not_name_its_perturbation(suite, task):
    names = {*axes(), *KINDS, "none", "wrong", "paraphrase", "perturb", "variant", "level"}
    for wording in wordings(suite, task):
        assert not re.search(r"\d|\b(" + "|".join(names) + r")\b", wording.text), wording.text


@each_task
def test_wording_is_lower_case_without_full_stop(suite, task):
    for wording in wordings(suite, task):
        assert wording.text == wording.text.lower()
        assert re.fullmatch(r"[a-z][a-z ,.;:?'-]*[a-z?]", wording.text), wording.text


@each_task
def test_every_wording_has_a_source(suite, task):
    assert all(wording.source for wording in wordings(suite, task))


def test_concept_distinguishes_white_mugs():
    assert not CONCEPTS["white_mug"].search("put the yellow and white mug on the right plate")
    assert CONCEPTS["white_mug"].search("put the plain white mug on the left plate")


def test_libero_90_has_no_wordings():
    assert load_wordings("libero_90") is None
    assert suites.get("libero_90").wordings(load_tasks("libero_90")[0].instruction) == ()
