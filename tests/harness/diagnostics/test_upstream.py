"""The doctor looks at the interpreter of the original SimplerEnv by trying it."""

import pytest
from nora_bench.harness.diagnostics import upstream
from nora_bench.harness.diagnostics.doctor import Status
from nora_bench.harness.diagnostics.upstream import Tried, attempt, examine_upstream

RIGHT = {"python": "3.11.7", "numpy": "1.26.4", "setuptools": "80.9.0", "msgpack": "1.1.0", "sapien": "2.2.2"}


@pytest.fixture
def trial(monkeypatch):
    """Answers trials in place of an interpreter: `trial(packages=..., none=..., vulkan=...)`."""

    def answer(**tried):
        monkeypatch.setattr(upstream, "attempt", lambda python, what: tried[what])
        return {finding.name: finding for finding in examine_upstream("/opt/simpler/bin/python")}

    return answer


def test_an_interpreter_that_plays_and_draws_is_right(trial):
    found = trial(packages=Tried(RIGHT), none=Tried(RIGHT), vulkan=Tried({**RIGHT, "brightest": 255}))
    assert {finding.status for finding in found.values()} == {Status.ok}


def test_without_a_gpu_it_plays_and_that_it_does_not_draw_is_a_note(trial):
    found = trial(packages=Tried(RIGHT), none=Tried(RIGHT), vulkan=Tried({}, "RuntimeError: Cannot find a rendering device"))
    assert found["upstream plays"].status is Status.ok
    assert found["upstream pictures"].status is Status.note
    assert "backend sapien3 draws anywhere" in found["upstream pictures"].why


@pytest.mark.parametrize(
    ("package", "version", "says"),
    [("numpy", "2.1.0", "below 2"), ("setuptools", "82.0", "below 81"), ("msgpack", "", "msgpack"), ("sapien", "3.0.3", "2.2.2")],
)
def test_a_wrong_package_is_named_with_what_mends_it(trial, package, version, says):
    found = trial(packages=Tried({**RIGHT, package: version}))
    assert found["upstream python"].status is Status.problem
    assert says in found["upstream python"].why
    assert "/opt/simpler/bin/python -m pip install" in found["upstream python"].cure.command


def test_a_missing_vulkan_loader_is_mended_by_its_package(trial):
    found = trial(packages=Tried(RIGHT), none=Tried({}, "libvulkan.so.1: cannot open shared object file"))
    assert "libvulkan1" in found["upstream plays"].cure.command


def test_a_package_that_cannot_be_imported_comes_with_the_way_to_install_it(trial):
    found = trial(packages=Tried(RIGHT), none=Tried({}, "SuiteError: the original SimplerEnv cannot be imported"))
    assert "git clone --recurse-submodules" in found["upstream plays"].cure.command


def test_a_program_that_is_no_python_is_a_problem():
    (finding,) = examine_upstream("/bin/true")
    assert (finding.status, finding.found) == (Status.problem, "/bin/true: exit code 0")


def test_an_interpreter_says_what_it_has(bare_python):
    tried = attempt(bare_python, "packages")
    assert (tried.problem, tried.found["sapien"]) == ("", "")
    assert tried.found["numpy"]


def test_an_interpreter_without_the_original_says_so(bare_python):
    assert "the original SimplerEnv cannot be imported" in attempt(bare_python, "none").problem


def test_only_simplerenv_has_such_an_interpreter(cli):
    assert "only simpler" in cli("doctor", "--python", "libero=/usr/bin/python3").err


def test_an_interpreter_is_named_by_family(cli):
    ended = cli("doctor", "--python", "/usr/bin/python3")
    assert (ended.code, "given as name=value" in ended.err) == (2, True)
