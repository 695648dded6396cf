"""The commands of docs/guide/ci.md, on a tiny plan; and the margins that it prints."""

import re
import shlex
from fractions import Fraction
from types import SimpleNamespace

import pytest
from nora_bench.results.comparisons.noninferiority import assess
from nora_bench.results.statistics.paired_test import TaskDifferences

PLACES = {
    "runs/reference": "reference",
    "runs/candidate": "candidate",
    "report.html": "report.html",
    "reference.zip": "reference.zip",
}


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "guide" / "ci.md").read_text(encoding="utf-8")


@pytest.fixture
def recipe(page, cli, tmp_path, monkeypatch):
    """Runs the page's command of a verb that contains a word, with the toy suite, a policy, and this test's folder."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy")
    commands = [shlex.split(line) for line in re.findall(r"^(?: *run: | *)(nora-bench .*)$", page, re.MULTILINE)]

    def run(verb, word, policy="fakes:Walk"):
        words = next(words for words in commands if words[1] == verb and word in " ".join(words))
        tiny = {
            "libero_object": "fakes:toy",
            "CHECKPOINT": policy,
            "checkpoints/latest": policy,
            "standin": "auto",
            "auto": "1",
            **{name: str(tmp_path / place) for name, place in PLACES.items()},
        }
        return cli(*(tiny.get(word, word) for word in words[1:]))

    return run


def test_equal_checkpoint_passes(recipe, tmp_path):
    assert recipe("run", "reference").code == 0
    assert recipe("run", "candidate").code == 0
    assert recipe("compare", "--no-worse-than").code in (0, 1)  # 12 initial states are too few to show 10 points
    assert recipe("report", "candidate").code == 0
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_worse_checkpoint_fails(recipe):
    assert recipe("run", "reference").code == 0
    assert recipe("run", "standin", policy="zero").code == 0
    assert recipe("compare", "--no-worse-than").code == 1


def test_bounds_of_the_page_are_computed(page):
    rows = re.findall(r"^\| (\d+) \| (-[\d.]+) \| (-[\d.]+) \| (-[\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for states, *bounds in rows:
        for lost, bound in enumerate(bounds):
            assert float(bound) == pytest.approx(100 * bound_of(int(states), lost), abs=0.06)


def bound_of(states, lost):
    """One-sided 95 % bound over ten tasks, of which `lost` lose one initial state each."""
    values = [[Fraction(-1 if task < lost and state == 0 else 0) for state in range(states // 10)] for task in range(10)]
    tasks = [TaskDifferences(0.1, tuple(SimpleNamespace(difference=value) for value in own)) for own in values]
    return assess(tasks, 0.1).low
