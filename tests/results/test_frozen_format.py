"""Runs that users hold must stay readable: the folder under data/ was written by record format 1 and is never renewed."""

from pathlib import Path

import pytest
from nora_bench.results.store.reader import read_run

V1 = Path(__file__).parent / "data" / "run-v1"


@pytest.fixture(scope="module")
def v1():
    return read_run(V1)


def test_a_version_1_run_still_loads(v1):
    assert (len(v1.records), v1.notes) == (3, ())


@pytest.mark.parametrize(
    ("field", "value"),
    {
        "success": True,
        "success_any": True,
        "measures": {"partial": True},
        "chunk_status": {"ok": 23, "cut": 1},
        "attempts": 2,
        "assets": {"pack": "standin", "fingerprint": "0123456789abcdef"},
        "seconds": {"reset": 0.1, "step": 1.5, "render": 0.5, "policy": 0.25, "total": 2.5},
        "actions": "actions/libero_goal-task0.npy",
        "fixtures": {"wooden_cabinet_1": (0.01, -0.3, 0.9, 1.0, 0.0, 0.0, 0.0)},
        "warnings": ("plate leans by 2 degrees",),
        "finished": "2026-01-05T10:00:04+00:00",
    }.items(),
)
def test_its_fields_mean_what_they_meant(v1, field, value):
    assert getattr(v1.records[0], field) == value


def test_fields_that_were_not_written_have_their_defaults(v1):
    assert (v1.records[1].variant, v1.records[1].attempts, v1.records[1].measures) == ("", 1, {})


def test_an_errored_episode_has_no_success(v1):
    assert (v1.records[2].success, v1.records[2].error) == (None, "step: the simulator left its range")
