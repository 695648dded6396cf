"""Runs of one policy from several machines, joined: what is kept, what is refused, what is told."""

import json

import numpy as np
import pytest
from nora_bench.harness.planning import provenance
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.writer import Store


@pytest.fixture
def merged(cli, tmp_path):
    """Merges runs on the command line: `merged(a, b)` -> how it ended, the merged run."""

    def merge(*runs, out="all", code=0):
        ended = cli("merge", *(run.folder for run in runs), "--out", tmp_path / out, "--json")
        assert ended.code == code, ended.err
        return json.loads(ended.out), read_run(tmp_path / out)

    return merge


@pytest.fixture
def two(bench):
    """One policy on two machines: initial states 0 and 1 of all tasks, 1 and 2 of tasks 0 and 1."""
    a = bench("--init-states", "0,1", "--workers", 1, out="a")
    b = bench("--init-states", "1,2", "--tasks", "0,1", "--workers", 1, out="b")
    return a, b


def rewrite(folder, change):
    """Change every record of a run by hand."""
    path = folder / "episodes.jsonl"
    lines = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "crc32"}) + "\n" for line in lines))


def test_runs_on_parts_of_the_fresh_states_are_merged_and_resumed_from(merged, bench):
    a = bench("--init-states", "fresh:0,1", "--tasks", "0", "--workers", 1, out="a")
    b = bench("--init-states", "fresh:1-3", "--tasks", "0", "--workers", 1, out="b")
    _, run = merged(a, b)
    assert sorted(record.key for record in run.records) == [f"toy/task0/fresh{k}/seed0@toy/plain" for k in range(4)]
    assert run.metadata.config["init_states"] == ["fresh:0", "fresh:1", "fresh:2", "fresh:3"]


def test_published_and_fresh_initial_states_are_not_merged(cli, bench, tmp_path):
    a = bench("--init-states", "0", "--tasks", "0", "--workers", 1, out="a")
    b = bench("--init-states", "fresh:0", "--tasks", "0", "--workers", 1, out="b")
    ended = cli("merge", a.folder, b.folder, "--out", tmp_path / "all")
    assert ended.code == 2
    assert "initial states: published in A, fresh in B" in ended.err


def test_all_episodes_are_kept_and_what_both_have_once(merged, two):
    a, b = two
    reported, run = merged(a, b)
    assert {record.key: record.trajectory_sha256 for record in run.records} == {**a.trajectories, **b.trajectories}
    assert (reported["episodes"], reported["identical"], reported["contradictory"]) == (8, 2, [])
    assert {record.origin for record in run.records} == {"a", "b"}
    assert run.notes == ()


def test_the_merged_run_says_what_it_is_made_of(merged, two):
    _, run = merged(*two)
    config = run.metadata.config
    assert (config["tasks"], config["init_states"], config["seeds"]) == ([], [0, 1, 2], [0])
    assert run.metadata.counts == {"planned": 8, "repeated": 0, "done": 8, "errors": 0}
    assert run.metadata.status == "finished"
    assert [(source["name"], source["counts"]["done"], source["status"]) for source in run.metadata.merged] == [
        ("a", 6, "finished"),
        ("b", 4, "finished"),
    ]
    assert [session["run"] for session in run.metadata.sessions] == ["a", "b"]
    assert {record.conditions for record in run.records} == {session["conditions"] for session in run.metadata.sessions}


def test_merged_run_verifies_and_replays(merged, two, cli):
    _, run = merged(*two)
    verified = cli("verify", run.folder, "--sample", 1)
    assert (verified.code, "8 of 8 replays match" in verified.out) == (0, True), verified.out


@pytest.mark.parametrize("verb", ["show", "table", "report", "compare"])
def test_other_commands_take_a_merged_run(merged, two, cli, tmp_path, verb):
    _, run = merged(*two)
    args = {"report": ["--out", tmp_path / "page.html"], "compare": [two[0].folder]}.get(verb, [])
    ended = cli(verb, run.folder, *args)
    assert ended.code == 0, ended.err


def test_show_names_the_sources(merged, two, cli):
    _, run = merged(*two)
    assert "a (finished, 6 of 6), b (finished, 4 of 4)" in cli("show", run.folder).out


def test_a_merged_run_can_be_merged_again(merged, two, bench):
    _, run = merged(*two)
    c = bench("--init-states", "3", "--workers", 1, out="c")
    _, again = merged(run, c, out="more")
    assert {record.origin for record in again.records} == {"a", "b", "c"}
    assert [source["name"] for source in again.metadata.merged[0]["merged"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("args", "more", "says"),
    [
        (("--max-steps", 3), {}, "max steps: the protocol's in A, 3 in B"),
        (("--protocol", "toy/last-step"), {}, "protocol: toy/plain in A, toy/last-step in B"),
        (("--policy-arg", "chunk=2"), {}, "policy argument chunk: not known in A, 2 in B"),
        ((), {"policy": "zero"}, "fakes:Walk in A, nora_bench.policies.baselines:Zero in B"),
    ],
)
def test_runs_that_are_not_of_one_kind_are_refused(cli, bench, tmp_path, args, more, says):
    a = bench("--episodes", 1, "--tasks", 0, out="a")
    b = bench("--episodes", 1, "--tasks", 1, *args, out="b", **more)
    ended = cli("merge", a.folder, b.folder, "--out", tmp_path / "all")
    assert ended.code == 2
    assert says in ended.err
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"assets": {"pack": "other", "fingerprint": "f" * 16}}, "other " + "f" * 16),
        ({"backend": "sapien2"}, "backend: not known in A, sapien2 in B"),
        (
            {"policy": {"name": "fakes:Walk", "args": {}, "fingerprint": {"class": "other"}}},
            "policy setting class: fakes:Walk in A, other in B",
        ),
        ({"policy": {"name": "fakes:Walk", "args": {}}}, "policy fingerprint: class fakes:Walk in A, not known in B"),
    ],
)
def test_policy_description_is_compared(cli, two, tmp_path, change, says):
    a, b = two
    with Store.open(b.folder) as store:
        store.update_metadata(**change)
    ended = cli("merge", a.folder, b.folder, "--out", tmp_path / "all")
    assert ended.code == 2
    assert says in ended.err


def test_settings_by_suite_are_joined(merged, two):
    for run, suite in zip(two, ("libero_goal", "libero_object"), strict=True):
        with Store.open(run.folder) as store:
            policy = store.metadata.policy
            fingerprint = {**policy["fingerprint"], "statistics": {suite: "q01"}}
            store.update_metadata(policy={**policy, "fingerprint": fingerprint})
    _, run = merged(*(read_run(run.folder) for run in two))
    assert run.metadata.policy["fingerprint"]["statistics"] == {"libero_goal": "q01", "libero_object": "q01"}


def test_other_differences_are_reported_and_kept(cli, merged, bench, monkeypatch):
    a = bench("--init-states", 0, "--workers", 1, out="a")
    found = provenance.versions
    monkeypatch.setattr(provenance, "versions", lambda: {**found(), "numpy": "99.0"})
    b = bench("--init-states", 1, "--workers", 1, out="b")
    reported, run = merged(a, b)
    assert reported["differences"] == {"versions.numpy": [np.__version__, "99.0"]}
    assert run.metadata.versions["numpy"] == f"{np.__version__} / 99.0"
    assert len({record.conditions for record in run.records}) == 2
    assert "6 ran under 2 different conditions" in cli("show", run.folder).out


def test_an_episode_with_two_outcomes_keeps_both_lines_and_counts_as_an_error(cli, merged, two):
    a, b = two
    lost = {"success": False, "success_any": False, "termination": "budget", "trajectory_sha256": "f" * 64}
    rewrite(b.folder, lambda line: {**line, **(lost if line["key"] == "toy/task0/init1/seed0@toy/plain" else {})})
    reported, run = merged(a, b, code=1)
    assert reported["contradictory"] == ["toy/task0/init1/seed0@toy/plain"]
    ((key, records),) = run.conflicts
    assert {(record.origin, record.success) for record in records} == {("a", True), ("b", False)}
    assert len({record.actions for record in records}) == 2
    assert [record.success for record in run.records if record.key == key] == [None]
    assert run.metadata.counts["errors"] == 1
    assert cli("verify", run.folder, "--sample", 0).code == 1


def test_contradictions_within_a_source_stay(merged, two):
    a, b = two
    path = a.folder / "episodes.jsonl"
    first = {name: value for name, value in json.loads(path.read_text().splitlines()[0]).items() if name != "crc32"}
    path.write_text(path.read_text() + json.dumps({**first, "success": False, "termination": "budget"}) + "\n")
    reported, run = merged(a, b, code=1)
    assert reported["contradictory"] == [first["key"]]
    assert len(run.conflicts) == 1


def test_losses_on_one_machine_count_where_another_has_the_episode(merged, two):
    a, b = two
    key = "toy/task0/init2/seed0@toy/plain"
    with Store.open(a.folder) as store:
        store.update_metadata(
            status="failed", unfinished={key: {"attempts": 2, "policy_losses": 2}, "never": {"attempts": 1, "policy_losses": 0}}
        )
    _, run = merged(a, b)
    (record,) = (record for record in run.records if record.key == key)
    assert (record.attempts, record.policy_losses) == (3, 2)
    assert run.metadata.unfinished == {"never": {"attempts": 1, "policy_losses": 0}}
    assert run.metadata.status == "failed"


def test_of_two_alike_the_one_that_was_lost_more_often_is_kept(merged, two):
    a, b = two
    rewrite(b.folder, lambda line: {**line, "attempts": 3, "policy_losses": 2})
    _, run = merged(a, b)
    kept = {record.key: record for record in run.records}["toy/task0/init1/seed0@toy/plain"]
    assert (kept.origin, kept.policy_losses) == ("b", 2)


@pytest.mark.parametrize("leads", ["../../secret.npy", "/etc/passwd", "link.npy", "actions/none.npy"])
def test_no_action_file_is_read_from_outside_a_run(merged, two, tmp_path, leads):
    a, b = two
    np.save(tmp_path / "secret.npy", np.zeros((3, 1)))
    (b.folder / "link.npy").symlink_to(tmp_path / "secret.npy")
    rewrite(b.folder, lambda line: {**line, "actions": leads})
    reported, run = merged(a, b, code=1)
    assert len(reported["without_actions"]) == 2
    kept = {record.key: record.actions for record in run.records}
    assert [kept[key] for key in reported["without_actions"]] == [None, None]


def test_the_verdict_of_a_source_is_not_the_merged_runs(merged, two):
    a, b = two
    verdict = {"stop": True, "text": "clear", "low": 0.0, "high": 1.0, "rounds": 1, "episodes": 6, "planned": 6, "saved": 0.0}
    with Store.open(a.folder) as store:
        store.update_metadata(until=verdict, config={**store.metadata.config, "until": "width<5"})
    _, run = merged(a, b)
    assert "until" not in run.metadata.to_json()
    assert run.metadata.config["until"] is None
    assert run.metadata.merged[0]["until"] == verdict


def test_two_runs_of_one_name_stay_distinct(cli, bench, tmp_path, merged):
    one, other = (
        bench("--init-states", state, "--workers", 1, out=f"{machine}/run") for state, machine in ((0, "m1"), (1, "m2"))
    )
    _, run = merged(one, other)
    assert {record.origin for record in run.records} == {"m1/run", "m2/run"}


def test_a_merged_run_is_not_resumed(merged, two, bench):
    merged(*two)
    again = bench("--resume", out="all")
    assert again.code == 2
    assert "was merged from other runs" in again.err


def test_single_run_is_rejected_and_no_folder_is_overwritten(cli, two, tmp_path):
    a, b = two
    assert cli("merge", a.folder, "--out", tmp_path / "all").code == 2
    assert cli("merge", a.folder, a.folder, "--out", tmp_path / "all").code == 2
    assert cli("merge", a.folder, tmp_path / "nothing", "--out", tmp_path / "all").code == 2
    assert cli("merge", a.folder, b.folder, "--out", a.folder).code == 2
    assert read_run(a.folder).records == tuple(a.records.values())
