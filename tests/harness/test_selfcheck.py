"""Selfcheck passes on a correct installation and fails on a wrong one."""

import json

import pytest

pytestmark = pytest.mark.libero


@pytest.mark.slow
def test_correct_installation_passes_every_check(cli):
    """With official assets where they are, else with stand-ins."""
    ended = cli("selfcheck", "--suite", "libero", "--assets", "auto", "--json")
    outcomes = [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]
    assert [outcome["detail"] for outcome in outcomes if not outcome["passed"]] == []
    assert (ended.code, len(outcomes)) == (0, 4)


@pytest.mark.slow
def test_simplerenv_passes_every_check(cli):
    pytest.importorskip("sapien", reason="needs the extra [simpler]")
    ended = cli("selfcheck", "--suite", "simpler", "--assets", "standin", "--json")
    outcomes = [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]
    assert [outcome["detail"] for outcome in outcomes if not outcome["passed"]] == []
    assert (ended.code, len(outcomes)) == (0, 3)


def test_all_installed_families_are_checked_by_default(monkeypatch):
    from nora_bench.harness import selfcheck

    monkeypatch.setattr(selfcheck, "find_spec", lambda module: module == "sapien")
    assert [family.name for family in selfcheck.families()] == ["simpler"]


def test_libero_is_checked_where_nothing_is_installed(monkeypatch):
    from nora_bench.harness import selfcheck

    monkeypatch.setattr(selfcheck, "find_spec", lambda module: None)
    assert [family.name for family in selfcheck.families()] == ["libero"]


def test_unknown_family_is_rejected(cli):
    ended = cli("selfcheck", "--suite", "widowx")
    assert (ended.code, "libero, simpler" in ended.err) == (2, True)


def test_different_replay_fails_with_the_quantity_named(monkeypatch):
    from nora_bench.envs.libero import parity
    from nora_bench.envs.parity import Check
    from nora_bench.harness import selfcheck

    monkeypatch.setattr(parity, "compare", lambda *args, **options: [Check("a", "state after reset", 1e-3, 1e-9)])
    pack = selfcheck.AssetPack("standin", "", "")
    passed, detail = selfcheck._recordings_replay(pack)
    assert not passed
    assert "a: state after reset is off by 0.001" in detail


@pytest.mark.parametrize(
    ("successes", "expected", "passed"),
    [([True, True], True, True), ([True, False], True, False), ([False], False, True), ([True], False, False), ([], True, False)],
)
def test_expert_must_succeed_in_all_and_zero_policy_in_none(successes, expected, passed):
    from types import SimpleNamespace

    from nora_bench.harness.selfcheck import _succeeded

    records = [SimpleNamespace(key="k", success=success, error=None) for success in successes]
    assert _succeeded(records, expected=expected)[0] is passed


def test_episode_with_an_error_fails_the_check():
    from types import SimpleNamespace

    from nora_bench.harness.selfcheck import _succeeded

    passed, detail = _succeeded([SimpleNamespace(key="k", success=None, error="the bowl is unseated")], expected=False)
    assert not passed
    assert "unseated" in detail
