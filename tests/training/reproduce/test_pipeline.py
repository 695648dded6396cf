"""Stages beside other processes: what a killed or stopped reproduction leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nora_bench.envs.errors import ExitCode, Interrupted, StoreLocked
from nora_bench.results.store.locking import hold
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.reproduce import pipeline
from nora_bench.training.reproduce.pipeline import DONE, PipelineStage, is_done, output_file, run_all, run_available

STAGE = PipelineStage("sleep", ("30",), 1.0)


@pytest.fixture
def reproduction(tmp_path):
    """A process that runs STAGE, whose command sleeps; with that command's process id."""
    script = tmp_path / "command.sh"
    script.write_text(f"echo $$ >{tmp_path}/started.part && mv {tmp_path}/started.part {tmp_path}/started\nexec sleep $1\n")
    code = (
        "import sys; from pathlib import Path; from nora_bench.training.reproduce import pipeline as p\n"
        "from nora_bench.envs.errors import Interrupted\n"
        f"p.PROGRAM = ('sh', {str(script)!r})\n"
        "try: p.run_available([p.PipelineStage('sleep', ('30',), 1.0)], Path(sys.argv[1]), lambda line: None)\n"
        "except Interrupted as error: sys.exit(error.exit_code)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    started = tmp_path / "started"
    for _ in range(600):
        if started.exists():
            break
        time.sleep(0.05)
    command = int(started.read_text())
    yield process, command
    process.kill()
    process.wait()
    if alive(command):
        os.kill(command, signal.SIGKILL)


def alive(process):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def locked(folder):
    with (folder / DONE / "sleep.lock").open("w") as file:
        try:
            hold(file, folder / DONE / "sleep.lock")()
        except StoreLocked:
            return True
    return False


def test_command_of_a_killed_reproduction_keeps_its_stage(reproduction, tmp_path):
    process, command = reproduction
    process.kill()
    process.wait()
    assert alive(command) and locked(tmp_path)
    os.kill(command, signal.SIGKILL)
    while alive(command):
        time.sleep(0.01)
    assert not locked(tmp_path) and not is_done(tmp_path, STAGE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_stop_signal_stops_the_command_of_a_stage(reproduction, tmp_path, number):
    process, command = reproduction
    process.send_signal(number)
    assert process.wait(20) == ExitCode.INTERRUPTED
    assert not alive(command) and not locked(tmp_path)


def test_command_that_was_stopped_stops_the_reproduction(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "PROGRAM", ("sh", "-c", "exit 130"))
    with pytest.raises(Interrupted):
        run_all([STAGE], tmp_path, lambda line: None)


def test_command_killed_by_a_signal_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "PROGRAM", ("sh", "-c", "kill -9 $$"))
    with pytest.raises(TrainingError, match="killed by signal 9"):
        run_available([STAGE], tmp_path, lambda line: None)


def test_output_of_a_shared_stage_is_kept_in_a_file(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(pipeline, "PROGRAM", ("sh", "-c", "echo result; echo warning >&2"))
    said = []
    run_available([STAGE], tmp_path, said.append)
    assert output_file(tmp_path, STAGE).read_text().splitlines() == ["$ nora-bench 30", "result", "warning"]
    assert capfd.readouterr() == ("", "") and str(output_file(tmp_path, STAGE)) in said[0]


def test_failure_shows_the_end_of_the_output(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "PROGRAM", ("sh", "-c", "seq 100; exit 2"))
    with pytest.raises(TrainingError) as error:
        run_available([STAGE], tmp_path, lambda line: None)
    assert "  100\n" in str(error.value) and "  80\n" not in str(error.value) and "nora-bench 30" in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seconds": 1}'])
def test_damaged_record_of_a_stage_is_rejected(tmp_path, text):
    path = tmp_path / DONE / "sleep.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(TrainingError, match=f"rm {path}"):
        is_done(tmp_path, STAGE)
