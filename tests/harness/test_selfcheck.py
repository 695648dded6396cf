"""Selfcheck says yes on a right installation and no on a wrong one."""

import json

import pytest

pytestmark = pytest.mark.libero


@pytest.mark.slow
@pytest.mark.parametrize("assets", ["standin", pytest.param("official", marks=pytest.mark.official)])
def test_a_right_installation_passes_every_check(cli, assets):
    ended = cli("selfcheck", "--assets", assets, "--json")
    verdicts = [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]
    assert [verdict["detail"] for verdict in verdicts if not verdict["passed"]] == []
    assert (ended.code, len(verdicts)) == (0, 4)


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
