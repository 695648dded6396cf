"""Stand-in assets look different and are the same world."""

import pytest
from nora_bench.results.store.reader import read_run

pytestmark = [pytest.mark.libero, pytest.mark.official, pytest.mark.slow]


def test_expert_has_the_same_trajectories_on_both_packs(cli, official, tmp_path):
    found = []
    for assets in ("official", "standin"):
        options = ["--suite", "libero", "--tasks", "2,5,8", "--init-states", "40", "--policy", "scripted", "--assets", assets]
        assert cli("run", *options, "--workers", "1", "--out", tmp_path / assets).code == 0
        records = read_run(tmp_path / assets).records
        found.append({record.key: (record.success, record.trajectory_sha256) for record in records})
    assert len(found[0]) == 12
    assert found[0] == found[1]
