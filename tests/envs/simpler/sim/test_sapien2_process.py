"""The physics process: one fork per episode, crashes that end an episode only. A stand-in replaces SAPIEN 2.2.2."""

import sys

import pytest
from nora_bench.envs.base import SimulationError
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.simpler import interpreter
from nora_bench.envs.simpler.sim.sapien2.process import PhysicsProcess

PROGRAM = """
import os, signal

class Episode:
    episodes = 0

    def __init__(self, engine, request):
        Episode.episodes += 1
        self.total = request["start"]

    def facts(self):
        return {"episodes": Episode.episodes, "process": os.getpid()}

    def step(self, action):
        if action == [0.0]:
            os.kill(os.getpid(), signal.SIGSEGV)
        self.total += 1 / action[0] if action[0] < 9 else action[1]
        return {}

    def state(self):
        return self.total
"""
INTERPRETER = """#!{python}
import sys
sys.path[:0] = [{modules!r}]
from nora_bench.envs.simpler.sim.sapien2 import server
server.PROGRAMS["fake"] = "fake_program:Episode"
server.versions = lambda: {versions!r}
server.Server(None, int(sys.argv[3])).run()
"""


def write_interpreter(tmp_path, monkeypatch, versions):
    """An interpreter that serves PROGRAM instead of SAPIEN 2.2.2."""
    (tmp_path / "fake_program.py").write_text(PROGRAM)
    python = tmp_path / "python"
    python.write_text(INTERPRETER.format(python=sys.executable, modules=str(tmp_path), versions=versions))
    python.chmod(0o755)
    monkeypatch.setenv(interpreter.VARIABLE, str(python))


@pytest.fixture
def process(tmp_path, monkeypatch):
    """A process of the stand-in."""
    write_interpreter(tmp_path, monkeypatch, interpreter.VERSIONS)
    started = PhysicsProcess(tmp_path / "cache")
    yield started
    started.close()


def begin(process, start=0.0):
    return process.begin({"program": "fake", "start": start})


def test_every_episode_starts_from_the_same_process_state(process):
    first, second = begin(process), begin(process)
    assert (first["episodes"], second["episodes"]) == (1, 1)
    assert first["process"] != second["process"]


def test_numbers_keep_their_bits(process):
    begin(process, 0.1)
    assert process.step([3.0])["state"] == 0.1 + 1 / 3


def test_crash_ends_the_episode_only(process):
    begin(process)
    with pytest.raises(SimulationError, match="signal 11"):
        process.step([0.0])
    with pytest.raises(SimulationError, match="no episode"):
        process.step([1.0])
    assert begin(process, 2.0)["state"] == 2.0


def test_error_of_the_program_names_its_cause(process):
    begin(process)
    with pytest.raises(SimulationError, match="IndexError"):
        process.step([9.0])
    assert begin(process)["state"] == 0.0


def test_process_that_was_killed_is_restarted_for_the_next_episode(process):
    begin(process)
    process._process.kill()
    process._process.wait()
    assert begin(process, 5.0)["state"] == 5.0


def test_interpreter_with_other_versions_is_an_error_with_the_command(monkeypatch, tmp_path):
    write_interpreter(tmp_path, monkeypatch, {**interpreter.VERSIONS, "numpy": "2.0.0"})
    with pytest.raises(SuiteError, match=r"2\.0\.0.* nora-bench doctor --fix --simpler"):
        PhysicsProcess(tmp_path / "cache")


def test_missing_interpreter_is_an_error_with_the_command(monkeypatch, tmp_path):
    monkeypatch.delenv(interpreter.VARIABLE, raising=False)
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    with pytest.raises(SuiteError, match="nora-bench doctor --fix --simpler"):
        PhysicsProcess(tmp_path)


def test_interpreter_without_sapien_2_is_an_error_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv(interpreter.VARIABLE, "/bin/true")
    with pytest.raises(SuiteError, match="nora-bench doctor --fix --simpler"):
        PhysicsProcess(tmp_path)
