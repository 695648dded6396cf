"""Snapshots of error messages, one per class of error: other tests assert types and fields.

Regenerate with: NORA_BENCH_UPDATE_MESSAGES=1 python -m pytest tests/harness/test_messages.py
"""

import errno
import os
from pathlib import Path

import pytest
from nora_bench.envs import suites
from nora_bench.envs.errors import (
    DiskError,
    InputError,
    Interrupted,
    MissingRequirementError,
    NoraBenchError,
    PolicyFailedError,
    StoreError,
    StoreLocked,
    SuiteError,
    UnknownName,
)
from nora_bench.harness.config import parse
from nora_bench.harness.replay import video
from nora_bench.policies.registry import PolicyRequestError, load
from nora_bench.results.store.reader import StoredRun, read_run
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store

MESSAGES = Path(__file__).parent / "messages"


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """An empty working folder and cache, without assets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    for name in ("NORA_BENCH_LIBERO_ASSETS", "NORA_BENCH_SIMPLER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def bad_value(monkeypatch):
    parse({"suite": "libero_goal", "seeds": "some"})


def unknown_suite(monkeypatch):
    suites.get("libero_gaol")


def missing_ffmpeg(monkeypatch):
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    video.require(suites.get("libero_goal"))


def missing_assets(monkeypatch):
    suites.get("simpler-vm").resolve_assets("official")


def unknown_policy_argument(monkeypatch):
    load("zero", {"chunks": "2"})


def invalid_action(monkeypatch):
    from nora_bench.harness import evaluate

    evaluate.evaluate(policy="fakes:Wrong", policy_arg={"kind": "nan"}, suite="fakes:toy", episodes=1, out="run", workers=1)


def missing_run(monkeypatch):
    read_run("runs/missing")


def locked_run(monkeypatch):
    with Store.create("run", RunMetadata(version=1)):
        Store.create("run", RunMetadata(version=1))


def full_disk(monkeypatch):
    def no_space(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store.create("run", RunMetadata(version=1)) as store:
        monkeypatch.setattr(os, "fsync", no_space)
        store.update_metadata(status="finished")


def interrupted_rendering(monkeypatch):
    from types import SimpleNamespace

    record = SimpleNamespace(key="key", success=True, suite="", task_id=0, variant="", init_state=0, seed=0)
    run = StoredRun(Path("run"), RunMetadata(), (record,))
    video.render_videos(run, "all", print, stop=lambda: True)


CASES = {
    InputError: bad_value,
    UnknownName: unknown_suite,
    MissingRequirementError: missing_ffmpeg,
    SuiteError: missing_assets,
    PolicyRequestError: unknown_policy_argument,
    PolicyFailedError: invalid_action,
    StoreError: missing_run,
    StoreLocked: locked_run,
    DiskError: full_disk,
    Interrupted: interrupted_rendering,
}


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_message_matches_its_snapshot(kind, tmp_path, monkeypatch):
    with pytest.raises(NoraBenchError) as caught:
        CASES[kind](monkeypatch)
    assert type(caught.value) is kind
    message = str(caught.value).replace(str(tmp_path), "FOLDER").replace(str(os.getpid()), "PID") + "\n"
    file = MESSAGES / f"{kind.__name__}.txt"
    if os.environ.get("NORA_BENCH_UPDATE_MESSAGES"):
        file.write_text(message, encoding="utf-8")
    assert message == file.read_text(encoding="utf-8")


def test_every_snapshot_has_a_case():
    assert {file.stem for file in MESSAGES.glob("*.txt")} == {kind.__name__ for kind in CASES}
