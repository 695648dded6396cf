"""Recordings of the real LIBERO, replayed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.base import SuiteError, WorldOptions
from nora_bench.envs.parity import Check, largest

pytestmark = pytest.mark.libero


def golden() -> Path:
    named = os.environ.get("NORA_BENCH_GOLDEN")
    return (Path(named) if named else Path(__file__).parents[4] / "shared" / "golden") / "libero"


needs_golden = pytest.mark.skipif(not golden().is_dir(), reason="no recordings: set NORA_BENCH_GOLDEN to the folder that holds libero/")


@needs_golden
def test_every_recording_passes(world, pack, gl, cache):
    from nora_bench.envs.libero.parity import compare

    official = "standin" not in pack
    checks = list(compare(golden(), WorldOptions(pack, gl if official else "none", str(cache)), pictures=official))
    assert len({check.case for check in checks}) >= 10
    assert [check for check in checks if not check.passed] == []


@needs_golden
def test_a_recording_of_another_world_fails(world, pack, cache, tmp_path):
    from nora_bench.envs.libero.parity import compare, recordings

    stem = recordings(golden())[0]
    arrays = dict(np.load(stem.with_suffix(".npz")))
    arrays["states"][1, 5] += 1e-6
    np.savez(tmp_path / f"{stem.name}.npz", **arrays)
    (tmp_path / f"{stem.name}.json").write_text(stem.with_suffix(".json").read_text())
    failed = {check.quantity for check in compare(tmp_path, WorldOptions(pack, "none", str(cache)), pictures=False) if not check.passed}
    assert failed == {"state after initial state"}


def test_a_folder_of_something_else_is_named(world, pack, cache, tmp_path):
    from nora_bench.envs.libero.parity import compare

    np.savez(tmp_path / "random_libero_goal_0.npz", states=np.zeros(3))
    (tmp_path / "random_libero_goal_0.json").write_text(json.dumps({"suite": "libero_goal"}))
    with pytest.raises(SuiteError, match="random_libero_goal_0 is not a LIBERO recording"):
        list(compare(tmp_path, WorldOptions(pack, "none", str(cache)), pictures=False))


@pytest.mark.parametrize(("error", "passed"), [(0.0, True), (1e-9, True), (2e-9, False), (float("nan"), False), (float("inf"), False)])
def test_a_check_passes_within_its_tolerance_only(error, passed):
    assert Check("case", "quantity", error, 1e-9).passed is passed


def test_arrays_of_other_shapes_are_infinitely_far_apart():
    assert largest(np.zeros(3), np.zeros(4)) == float("inf")
