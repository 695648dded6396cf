"""`--policy path/to/file.py:Class`: a class in a file anywhere, without a package around it."""

import sys

import nora_bench
import pytest
from nora_bench.envs.errors import ExitCode, PolicyError
from nora_bench.policies.registry import PolicyRequestError, load

SOURCE = """
from __future__ import annotations

import numpy as np
from nora_bench.policies.base import ActionChunk, BasePolicy


class Mine(BasePolicy):
    def __init__(self, speed: float = {speed}):
        self.speed = speed

    def act_one(self, observation):
        return ActionChunk(np.full((1, self.context.action_size), self.speed))
"""


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """The folders that imports look into are as before after a test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def file(tmp_path):
    """Writes a policy's file: `file("folder", speed=0.1)` gives its path."""

    def write(folder, name="mine.py", speed=0.1, more=""):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        path = tmp_path / folder / name
        path.write_text(SOURCE.format(speed=speed) + more)
        return path

    return write


@pytest.mark.parametrize("folder", ["plain", "with spaces in it", "a:b/c.d"])
def test_a_class_in_a_file_is_found(file, folder):
    assert load(f"{file(folder)}:Mine", {"speed": "0.5"}).speed == 0.5


@pytest.mark.parametrize("typed", ["mine.py:Mine", "./mine.py:Mine", "../here/mine.py:Mine"])
def test_a_relative_path_counts_from_the_working_folder(file, monkeypatch, typed):
    monkeypatch.chdir(file("here").parent)
    assert load(typed, {}).speed == 0.1


def test_files_of_one_name_keep_apart(file):
    one, other, copy = file("a", speed=1.0), file("b", speed=2.0), file("c", speed=1.0)
    found = [type(load(f"{path}:Mine", {})) for path in (one, other, copy)]
    assert [kind().speed for kind in found] == [1.0, 2.0, 1.0]
    assert len({kind.__module__ for kind in found}) == 3
    assert type(load(f"{one}:Mine", {})) is found[0], "and one file is imported once"


def test_the_fingerprint_changes_with_the_file(file):
    before = load(f"{file('a', speed=1.0)}:Mine", {}).fingerprint()
    assert load(f"{file('a', speed=2.0)}:Mine", {}).fingerprint() != before


def test_a_file_may_import_its_neighbours(file):
    (file("a").parent / "neighbour_of_mine.py").write_text("VALUE = 7")
    path = file("a", more="\nfrom neighbour_of_mine import VALUE\nclass Other(Mine):\n    value = VALUE\n")
    assert load(f"{path}:Other", {}).value == 7


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("mine.py:Mien", r"mine\.py has no 'Mien' \(did you mean Mine\?\)"),
        ("mien.py:Mine", r"file not found: /.*/mien\.py \(did you mean mine\.py"),
        ("nowhere/mine.py:Mine", r"file not found: /.*/nowhere/mine\.py"),
        ("mine.py", r"add it as mine\.py:Mine \(it has Mine\)"),
        ("absent.py", r"absent\.py:Class \(file not found\)"),
        ("mine.py:", "file.py:Name"),
    ],
)
def test_missing_file_or_class_is_named_with_the_existing_ones(file, monkeypatch, reference, says):
    monkeypatch.chdir(file("here").parent)
    with pytest.raises(PolicyRequestError, match=says):
        load(reference, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class Mine(:", r"mine\.py raised SyntaxError"),
        ("nothing", r"mine\.py raised NameError: name 'nothing' is not defined"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemExit(0)", r"mine\.py raised SystemExit"),
    ],
)
def test_file_that_cannot_be_imported_is_the_policys_fault(tmp_path, text, says):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PolicyError, match=says) as caught:
        load(f"{path}:Mine", {})
    assert caught.value.exit_code == ExitCode.POLICY


def test_module_that_raises_is_reported_without_a_traceback(tmp_path, monkeypatch):
    (tmp_path / "breaks_on_import.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PolicyError, match="breaks_on_import raised ZeroDivisionError") as caught:
        load("breaks_on_import:Mine", {})
    assert caught.value.exit_code == ExitCode.POLICY


def test_check_policy_takes_what_the_command_line_takes(file):
    nora_bench.check_policy(f"{file('a')}:Mine")
    path = file("b", more="\nclass Bad(Mine):\n    def act_one(self, observation):\n        return None\n")
    with pytest.raises(PolicyError, match="must return ActionChunk, not NoneType"):
        nora_bench.check_policy(f"{path}:Bad")
