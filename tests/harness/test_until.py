"""`run --until`: a clear result stops early, whoever is fast."""

import json

import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.harness.until import Until
from nora_bench.results.sequential import make_rule, rounds

CLEAR = ("--until", "width<45")
"""Thirty episodes that all succeed fulfil this; the first few do not."""
UNCLEAR = ("--until", "width<5")


def specs(tasks=2, states=3):
    return [EpisodeSpec("toy", task, state, 0, "toy/plain") for task in range(tasks) for state in range(states)]


def test_a_clear_result_stops_early_and_says_what_it_saved(bench):
    played = bench(*CLEAR)
    verdict = played.run["until"]
    assert (played.code, played.run["status"], verdict["stop"]) == (0, "finished", True)
    assert len(played.records) == verdict["episodes"] < verdict["planned"] == 30
    assert verdict["saved"] == pytest.approx(1 - len(played.records) / 30)
    assert f"settled by {len(played.records)} of 30 episodes ({verdict['saved']:.0%} saved): width<45" in played.out


def test_an_unclear_result_plays_everything(bench):
    played = bench(*UNCLEAR)
    assert (len(played.records), played.run["until"]["stop"], played.run["until"]["saved"]) == (30, False, 0.0)
    assert "not settled by 30 of 30 episodes: width<5" in played.out


def test_only_whole_rounds_are_kept_for_any_number_of_workers(bench):
    alone, three = bench(*CLEAR, "--workers", 1, out="alone"), bench(*CLEAR, "--workers", 3, out="three")
    whole = rounds(specs(tasks=3, states=10))[: alone.run["until"]["rounds"]]
    assert set(alone.records) == {spec.key for one in whole for seeds in one for spec in seeds}
    assert three.trajectories == alone.trajectories
    assert three.run["until"] == alone.run["until"]


def test_actions_of_episodes_that_are_not_kept_are_not_kept_either(bench):
    played = bench(*CLEAR, "--workers", 3)
    found = {str(path.relative_to(played.folder)) for path in (played.folder / "actions").iterdir()}
    assert found == {record.actions for record in played.records.values()}


def test_a_better_policy_than_another_run_stops_early(bench):
    other = bench(out="other", policy="zero")
    played = bench("--until", f"mine>{other.folder}")
    assert played.run["until"]["stop"]
    assert 0 < len(played.records) < 30


def test_a_policy_that_is_no_better_plays_everything(bench):
    other = bench(out="other")
    assert len(bench("--until", f">{other.folder}").records) == 30


def test_a_rival_that_lacks_scenes_is_refused_before_anything_is_played(bench):
    other = bench("--episodes", 2, out="other")
    played = bench("--until", f">{other.folder}", out="new")
    assert (played.code, played.folder.exists()) == (2, False)
    assert "has not played 24 of the planned scenes" in played.err


def test_a_resumed_run_stops_where_an_undisturbed_one_does(bench):
    whole = bench(*CLEAR, "--workers", 2)
    episodes = whole.folder / "episodes.jsonl"
    lines = episodes.read_bytes().splitlines(keepends=True)
    episodes.write_bytes(b"".join(lines[:4]))
    resumed = bench("--resume")
    assert "(4 are there)" in resumed.out
    assert (resumed.trajectories, resumed.run["until"]) == (whole.trajectories, whole.run["until"])


def test_a_run_that_has_enough_has_nothing_left_to_resume(bench):
    first = bench(*CLEAR)
    again = bench("--resume")
    assert f"0 episodes to play ({len(first.records)} are there)" in again.out
    assert (again.trajectories, again.run["until"]) == (first.trajectories, first.run["until"])


def test_another_condition_makes_another_run(bench):
    bench(*CLEAR)
    refused = bench("--resume", "--until", "width<60")
    assert (refused.code, "--until would make" in refused.err) == (2, True)


def test_a_dry_run_names_the_condition_and_counts_what_is_left(bench, cli):
    assert "width<45; all of the above if it never holds" in bench(*CLEAR, "--dry-run").out
    folder = bench(*CLEAR).folder
    left = json.loads(cli("run", "--resume", "--out", folder, "--dry-run", "--json").out)
    assert left["plan"]["episodes"] == {"toy": 0}


def test_an_episode_that_ends_in_an_error_takes_its_round_out(bench, trouble):
    first = rounds(specs(tasks=3, states=10))[0][0][0]
    played = bench(*CLEAR, "--assets", trouble({"kind": "premise", "phase": "reset", "scene": first.scene}))
    verdict = played.run["until"]
    assert (played.code, verdict["stop"]) == (1, True)
    assert verdict["episodes"] == 3 * (verdict["rounds"] + 1) == len(played.records)


@pytest.fixture
def make_record():
    from nora_bench.results.records import EpisodeRecord

    def make(spec):
        fields = {name: getattr(spec, name) for name in ("key", "suite", "task_id", "init_state", "seed", "protocol")}
        return EpisodeRecord(**fields, task="", instruction="", policy="", success=True, steps=1, decisions=1, termination="")

    return make


def test_a_result_of_a_later_round_waits_for_the_rounds_before(make_record):
    until = Until(make_rule("width<5", specs()))
    (first, second), (later, _) = [[seeds[0] for seeds in one] for one in rounds(specs())[:2]]
    kept = [[record.key for record in until.admit(make_record(spec))] for spec in (later, first, second)]
    assert kept == [[], [first.key], [second.key, later.key]]
