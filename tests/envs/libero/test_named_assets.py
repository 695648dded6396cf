"""A folder that somebody named is used, or what it lacks is said; it is never stand-ins instead."""

import pytest
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero.assets import packs
from nora_bench.envs.libero.assets.packs import VARIABLE, resolve


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A folder with one file of a pack, named by the variable."""
    (tmp_path / "pack" / "assets" / "scenes").mkdir(parents=True)
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "pack"))
    return tmp_path / "pack" / "assets"


@pytest.mark.parametrize("wanted", ["auto", "official"])
def test_a_named_folder_that_lacks_files_is_an_error(named, wanted):
    with pytest.raises(SuiteError, match=f"{VARIABLE}=.*{named} lacks .* files"):
        resolve(wanted, "libero_goal")


@pytest.mark.parametrize("wanted", ["auto", "official"])
def test_a_named_folder_that_is_not_there_is_an_error(named, monkeypatch, wanted):
    monkeypatch.setenv(VARIABLE, "/not/there")
    with pytest.raises(SuiteError, match=f"{VARIABLE}=/not/there: asset folder /not/there does not exist"):
        resolve(wanted, "libero_goal")


def test_a_folder_on_the_command_line_is_looked_at_alike(named):
    with pytest.raises(SuiteError, match=r"lacks .* files.*--assets"):
        resolve(str(named), "libero_goal")


def test_a_whole_named_folder_is_the_official_pack(named, monkeypatch):
    monkeypatch.setattr(packs, "missing_files", lambda folder: [])
    assert resolve("auto", "libero_goal").name == resolve("official", "libero_goal").name == "official"


def test_the_doctor_says_so_too(named):
    from nora_bench.harness.diagnostics import assets, checks

    result = assets.assets("libero")
    assert result.status is checks.Status.problem
    assert VARIABLE in result.fix.command
