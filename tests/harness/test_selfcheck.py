"""Selfcheck says yes on a right installation and no on a wrong one."""

import json

import pytest

pytestmark = pytest.mark.libero


@pytest.mark.slow
@pytest.mark.parametrize("assets", ["standin", pytest.param("official", marks=pytest.mark.official)])
def test_a_right_installation_passes_every_check(cli, assets):
    ended = cli("selfcheck", "--suite", "libero", "--assets", assets, "--json")
    verdicts = [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]
    assert [verdict["detail"] for verdict in verdicts if not verdict["passed"]] == []
    assert (ended.code, len(verdicts)) == (0, 4)


@pytest.mark.slow
def test_simplerenv_passes_every_check_where_it_is_installed(cli):
    pytest.importorskip("sapien", reason="needs the extra [simpler]")
    ended = cli("selfcheck", "--suite", "simpler", "--assets", "standin", "--json")
    verdicts = [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]
    assert [verdict["detail"] for verdict in verdicts if not verdict["passed"]] == []
    assert (ended.code, len(verdicts)) == (0, 3)


def test_all_that_is_installed_is_checked_unless_said_otherwise(monkeypatch):
    from nora_bench.harness import selfcheck

    monkeypatch.setattr(selfcheck, "find_spec", lambda module: module == "sapien")
    assert [subject.family for subject in selfcheck.subjects()] == ["simpler"]


def test_where_nothing_is_installed_libero_says_what_is_missing(monkeypatch):
    from nora_bench.harness import selfcheck

    monkeypatch.setattr(selfcheck, "find_spec", lambda module: None)
    assert [subject.family for subject in selfcheck.subjects()] == ["libero"]


def test_checks_for_an_unknown_family_are_refused(cli):
    ended = cli("selfcheck", "--suite", "widowx")
    assert (ended.code, "there are for libero, simpler" in ended.err) == (2, True)


def test_a_world_that_replays_otherwise_fails_with_the_quantity_named(monkeypatch):
    from nora_bench.envs.libero import parity
    from nora_bench.envs.parity import Check
    from nora_bench.harness import selfcheck

    monkeypatch.setattr(parity, "compare", lambda *args, **options: [Check("a", "state after reset", 1e-3, 1e-9)])
    pack = selfcheck.AssetPack("standin", "", "")
    passed, detail = selfcheck._recordings(pack)
    assert not passed
    assert "a: state after reset is off by 0.001" in detail


@pytest.mark.parametrize(
    ("successes", "wanted", "passed"),
    [([True, True], True, True), ([True, False], True, False), ([False], False, True), ([True], False, False), ([], True, False)],
)
def test_an_expert_must_win_all_and_doing_nothing_none(successes, wanted, passed):
    from types import SimpleNamespace

    from nora_bench.harness.selfcheck import _won

    records = [SimpleNamespace(key="k", success=success, error=None) for success in successes]
    assert _won(records, wanted=wanted)[0] is passed


def test_an_episode_that_could_not_be_played_fails_the_check():
    from types import SimpleNamespace

    from nora_bench.harness.selfcheck import _won

    passed, detail = _won([SimpleNamespace(key="k", success=None, error="the bowl is unseated")], wanted=False)
    assert not passed
    assert "unseated" in detail
