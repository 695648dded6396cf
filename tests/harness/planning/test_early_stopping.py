"""`run --until`: a clear result stops early, whoever is fast."""

import json

import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.harness.planning.early_stopping import EarlyStopping
from nora_bench.results.comparisons.rounds import rounds
from nora_bench.results.comparisons.sequential import make_rule

CLEAR = ("--until", "width<45")
"""Thirty episodes that all succeed fulfil this; the first few do not."""
UNCLEAR = ("--until", "width<5")


def specs(tasks=2, states=3):
    return [EpisodeSpec("toy", task, state, 0, "toy/plain") for task in range(tasks) for state in range(states)]


def by_rounds(order_seed=0, tasks=3, states=10):
    """Keys of the toy suite's rounds in that order."""
    found = rounds(specs(tasks, states), order_seed, {("toy", task): f"go_home_{task}" for task in range(tasks)})
    return [[spec.key for entry in one for spec in entry.episodes] for one in found]


def test_clear_result_stops_early_and_reports_the_saving(bench):
    played = bench(*CLEAR)
    verdict = played.run["until"]
    assert (played.code, played.run["status"], verdict["stop"]) == (0, "finished", True)
    assert len(played.records) == verdict["episodes"] < verdict["planned"] == 30
    assert verdict["saved"] == pytest.approx(1 - len(played.records) / 30)
    assert f"settled by {len(played.records)} of 30 episodes ({verdict['saved']:.0%} saved): width<45" in played.out


def test_unclear_result_runs_all_episodes(bench):
    played = bench(*UNCLEAR)
    assert (len(played.records), played.run["until"]["stop"], played.run["until"]["saved"]) == (30, False, 0.0)
    assert "not settled by 30 of 30 episodes: width<5" in played.out


def test_only_whole_rounds_are_kept_for_any_number_of_workers(bench):
    alone, three = bench(*CLEAR, "--workers", 1, out="alone"), bench(*CLEAR, "--workers", 3, out="three")
    whole = by_rounds(alone.run["order_seed"])[: alone.run["until"]["rounds"]]
    assert set(alone.records) == {key for one in whole for key in one}
    assert three.trajectories == alone.trajectories
    assert three.run["until"] == alone.run["until"]


def test_actions_of_dropped_episodes_are_deleted(bench):
    played = bench(*CLEAR, "--workers", 3)
    found = {str(path.relative_to(played.folder)) for path in (played.folder / "actions").iterdir()}
    assert found == {record.actions for record in played.records.values()}


@pytest.mark.parametrize(("mine", "its", "reason"), [("fakes:Walk", "zero", "better"), ("zero", "fakes:Walk", "worse")])
def test_comparison_stops_when_the_winner_is_clear(bench, mine, its, reason):
    other = bench(out="other", policy=its)
    played = bench("--until", f"mine>{other.folder}", policy=mine)
    verdict = played.run["until"]
    assert (verdict["stop"], verdict["reason"]) == (True, reason)
    assert 0 < len(played.records) < 30
    assert verdict[f"e_{reason}"] >= 40
    assert len(verdict[f"log_wealth_{reason}"]) == 31


def test_comparison_of_equal_policies_stops_for_futility(bench):
    other = bench(out="other")
    played = bench("--until", f">{other.folder}")
    assert (played.run["until"]["reason"], played.run["status"]) == ("futile", "finished")
    assert len(played.records) < 30
    assert f"given up after {len(played.records)} of 30 episodes" in played.out


def test_errors_of_the_rival_count_as_its_successes_for_the_claim_better(bench, trouble):
    """Without them fewer rounds do: on ten of thirty scenes nobody can be said to be better."""
    clean = bench("--until", f">{bench(out='clean', policy='zero').folder}", out="against-clean")
    orders = [{"kind": "scene_check", "phase": "reset", "scene": spec.scene} for spec in specs(1, 10)]
    spoilt = bench("--assets", trouble(*orders), out="spoilt", policy="zero")
    played = bench("--until", f">{spoilt.folder}", out="against-spoilt")
    assert spoilt.run["counts"]["errors"] == 10
    assert played.run["until"]["reason"] == clean.run["until"]["reason"] == "better"
    assert played.run["until"]["rounds"] > clean.run["until"]["rounds"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--protocol", "toy/chunk-end"), "protocol: toy/plain in A"),
        (("--max-steps", 5), "max steps: the protocol's in A, 5 in B"),
    ],
)
def test_rival_under_other_conditions_is_rejected_before_the_run(bench, options, says):
    other = bench(*options, out="other")
    played = bench("--until", f">{other.folder}", out="new")
    assert (played.code, played.folder.exists()) == (2, False)
    assert says in played.err


def test_rival_with_other_assets_is_rejected(bench):
    other = bench(out="other")
    path = other.folder / "run.json"
    path.write_text(json.dumps({**other.run, "assets": {**other.run["assets"], "fingerprint": "f" * 16}}))
    played = bench("--until", f">{other.folder}", out="new")
    assert (played.code, "f" * 16 in played.err) == (2, True)


def test_rival_without_all_scenes_is_rejected_before_the_run(bench):
    other = bench("--episodes", 2, out="other")
    played = bench("--until", f">{other.folder}", out="new")
    assert (played.code, played.folder.exists()) == (2, False)
    assert "lacks 24 of the planned scenes" in played.err


@pytest.mark.parametrize("rival", [False, True])
def test_resumed_run_stops_like_an_uninterrupted_one(bench, rival):
    condition = ("--until", f">{bench(out='other', policy='zero').folder}") if rival else CLEAR
    whole = bench(*condition, "--workers", 2)
    episodes = whole.folder / "episodes.jsonl"
    lines = episodes.read_bytes().splitlines(keepends=True)
    episodes.write_bytes(b"".join(lines[:4]))
    resumed = bench("--resume")
    assert "(4 are finished)" in resumed.out
    assert (resumed.trajectories, resumed.run["until"]) == (whole.trajectories, whole.run["until"])


def test_resuming_a_run_that_stopped_early_runs_nothing(bench):
    first = bench(*CLEAR)
    again = bench("--resume")
    assert f"0 episodes to run ({len(first.records)} are finished)" in again.out
    assert (again.trajectories, again.run["until"]) == (first.trajectories, first.run["until"])


def test_another_condition_cannot_resume_the_run(bench):
    bench(*CLEAR)
    refused = bench("--resume", "--until", "width<60")
    assert (refused.code, "--until differs from the stored run" in refused.err) == (2, True)


def test_dry_run_shows_the_condition_and_the_remaining_episodes(bench, cli):
    assert "width<45; all of the above if it is never met" in bench(*CLEAR, "--dry-run").out
    folder = bench(*CLEAR).folder
    left = json.loads(cli("run", "--resume", "--out", folder, "--dry-run", "--json").out)
    assert left["plan"]["episodes"] == {"toy": 0}


def test_error_widens_the_interval(bench, trouble):
    clean = bench(*CLEAR, out="clean")
    first = by_rounds(clean.run["order_seed"])[0][0]
    played = bench(*CLEAR, "--assets", trouble({"kind": "scene_check", "phase": "reset", "scene": first.partition("@")[0]}))
    verdict = played.run["until"]
    assert (played.code, verdict["stop"]) == (1, True)
    assert verdict["episodes"] == 3 * verdict["rounds"] == len(played.records) > len(clean.records)


def test_runs_differ_in_the_order_of_initial_states(bench):
    """The order follows from what is run: again the same, of another policy another."""
    options = ("--order", "rounds", "--workers", 1)
    one, again, other = bench(*options, out="1"), bench(*options, out="2"), bench(*options, out="3", policy="zero")
    assert one.run["order_seed"] == again.run["order_seed"] != other.run["order_seed"]
    assert list(one.records) == list(again.records) != list(other.records)


def test_rounds_are_a_fair_sample_at_any_time(bench):
    played = bench("--order", "rounds", "--workers", 1)
    keys = list(played.records)
    assert len(keys) == 30
    assert [sorted(keys[at : at + 3]) for at in range(0, 30, 3)] == [sorted(one) for one in by_rounds(played.run["order_seed"])]


def test_order_changes_no_result_and_may_change_on_resume(bench):
    by_task, by_round = bench(out="tasks"), bench("--order", "rounds", out="rounds")
    assert by_task.trajectories == by_round.trajectories
    assert bench("--resume", "--order", "tasks", out="rounds").code == 0


@pytest.fixture
def make_record():
    from nora_bench.results.store.records import EpisodeRecord

    def make(spec):
        fields = {name: getattr(spec, name) for name in ("key", "suite", "task_id", "init_state", "seed", "protocol")}
        return EpisodeRecord(**fields, task="", instruction="", policy="", success=True, steps=1, decisions=1, termination="")

    return make


def test_episode_of_a_later_round_waits_for_the_rounds_before(make_record):
    plan = rounds(specs(), 0, {("toy", task): str(task) for task in range(2)})
    until = EarlyStopping(make_rule("width<5", plan))
    (first, second), (later, _) = [[entry.episodes[0] for entry in one] for one in plan[:2]]
    kept = [[record.key for record in until.accept(make_record(spec))] for spec in (later, first, second)]
    assert kept == [[], [first.key], [second.key, later.key]]
