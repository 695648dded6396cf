"""Recordings of the real LIBERO, replayed."""

import json

import numpy as np
import pytest
from nora_bench.envs.base import EnvOptions
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.parity import Check, max_abs_difference

pytestmark = pytest.mark.libero


def test_every_recording_passes(env, golden, pack, gl, cache):
    from nora_bench.envs.libero.parity import compare

    official = "standin" not in pack
    checks = list(compare(golden / "libero", EnvOptions(pack, gl if official else "none", str(cache)), images=official))
    assert len({check.case for check in checks}) >= 10
    assert [check for check in checks if not check.passed] == []


def test_altered_recording_fails(env, golden, pack, cache, tmp_path):
    from nora_bench.envs.libero.parity import compare, recordings

    stem = recordings(golden / "libero")[0]
    arrays = dict(np.load(stem.with_suffix(".npz")))
    arrays["states"][1, 5] += 1e-6
    np.savez(tmp_path / f"{stem.name}.npz", **arrays)
    (tmp_path / f"{stem.name}.json").write_text(stem.with_suffix(".json").read_text())
    checks = compare(tmp_path, EnvOptions(pack, "none", str(cache)), images=False)
    assert {check.quantity for check in checks if not check.passed} == {"state after initial state"}


def test_recording_of_another_layout_is_rejected(env, pack, cache, tmp_path):
    from nora_bench.envs.libero.parity import compare

    np.savez(tmp_path / "random_libero_goal_0.npz", states=np.zeros(3))
    (tmp_path / "random_libero_goal_0.json").write_text(json.dumps({"suite": "libero_goal"}))
    with pytest.raises(SuiteError, match="random_libero_goal_0 is not a LIBERO recording"):
        list(compare(tmp_path, EnvOptions(pack, "none", str(cache)), images=False))


@pytest.mark.parametrize(
    ("error", "passed"), [(0.0, True), (1e-9, True), (2e-9, False), (float("nan"), False), (float("inf"), False)]
)
def test_check_passes_only_within_its_tolerance(error, passed):
    assert Check("case", "quantity", error, 1e-9).passed is passed


def test_difference_of_unequal_shapes_is_infinite():
    assert max_abs_difference(np.zeros(3), np.zeros(4)) == float("inf")
