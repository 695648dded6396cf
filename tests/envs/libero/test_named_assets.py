"""A folder that somebody named is used, or what it lacks is said; it is never stand-ins instead."""

import pytest
from nora_bench.envs.errors import InputError, SuiteError
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
def test_incomplete_folder_from_the_variable_is_rejected(named, wanted):
    with pytest.raises(SuiteError, match=f"{VARIABLE}=.*{named} lacks .* files"):
        resolve(wanted, "libero_goal")


@pytest.mark.parametrize("wanted", ["auto", "official"])
def test_missing_folder_from_the_variable_is_rejected(named, monkeypatch, wanted):
    monkeypatch.setenv(VARIABLE, "/not/there")
    with pytest.raises(SuiteError, match=f"{VARIABLE}=/not/there: asset folder not found: /not/there"):
        resolve(wanted, "libero_goal")


def test_incomplete_folder_from_the_option_is_rejected(named):
    with pytest.raises(SuiteError, match=r"lacks .* files.*--assets"):
        resolve(str(named), "libero_goal")


def test_missing_folder_from_the_option_is_bad_input(named):
    with pytest.raises(InputError) as caught:
        resolve("/not/there", "libero_goal")
    assert (caught.value.option, str(caught.value.value)) == ("--assets", "/not/there")


def test_complete_folder_from_the_variable_is_the_official_pack(named, monkeypatch):
    monkeypatch.setattr(packs, "missing_files", lambda folder: [])
    assert resolve("auto", "libero_goal").name == resolve("official", "libero_goal").name == "official"


def test_doctor_reports_an_incomplete_folder(named):
    from nora_bench.harness.diagnostics import assets, checks

    result = assets.assets("libero")
    assert result.status is checks.Status.problem
    assert VARIABLE in result.fix.command
