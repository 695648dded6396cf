"""What run.json keeps of each session, and how records are tied to the conditions they were played under."""

import json

import pytest
from nora_bench.harness import run_sessions
from nora_bench.harness.planning import provenance
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store


@pytest.fixture
def half(bench):
    """A run of three episodes, two of which are still to be played."""
    played = bench("--episodes", 1, "--workers", 1, "--policy-arg", "chunk=2")
    lines = (played.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (played.folder / "episodes.jsonl").write_text(lines[0])
    return played


@pytest.fixture
def upgraded(monkeypatch):
    """From now on another version of nora-bench is installed."""
    found = provenance.versions
    monkeypatch.setattr(provenance, "versions", lambda: {**found(), "nora-bench": "99.0"})


def test_session_records_time_place_and_conditions(half):
    (session,) = half.run["sessions"]
    assert session["status"] == "finished"
    assert session["started"] == half.run["created"]
    assert session["finished"] == half.run["finished"]
    for part in ("versions", "commit", "hardware", "platform", "gl"):
        assert session[part] == half.run[part]
    assert len(session["policy_fingerprint"]) == len(session["conditions"]) == 16


def test_records_carry_the_digest_of_their_conditions(half):
    (session,) = half.run["sessions"]
    assert {record.conditions for record in half.records.values()} == {session["conditions"]}


def test_a_resumed_run_keeps_both_sessions_and_the_firsts_versions(half, bench, upgraded, cli):
    before = half.run
    resumed = bench("--resume")
    assert resumed.code == 0
    first, second = resumed.run["sessions"]
    assert first == before["sessions"][0]
    assert resumed.run["versions"] == before["versions"] == first["versions"]
    assert second["versions"] == {**first["versions"], "nora-bench": "99.0"}
    assert first["conditions"] == second["conditions"], "nora-bench's own version changes no result"
    shown = cli("show", resumed.folder).out
    assert f"sessions differ in versions.nora-bench: {first['versions']['nora-bench']}, 99.0" in shown


def test_a_refused_resume_does_not_advise_to_resume(half, bench, monkeypatch):
    found = provenance.versions
    monkeypatch.setattr(provenance, "versions", lambda: {**found(), "numpy": "99.0"})
    refused = bench("--resume")
    assert refused.code == 2
    assert "numpy was" in refused.err
    assert "run --resume" not in refused.err
    assert len(refused.records) == 1


def test_lines_of_another_machine_are_detected_by_their_conditions(half, bench, cli):
    path = half.folder / "episodes.jsonl"
    other = {**json.loads(path.read_text()), "conditions": "0123456789abcdef"}
    path.write_text(json.dumps({name: value for name, value in other.items() if name != "crc32"}) + "\n")
    verified = cli("verify", half.folder, "--sample", 0)
    assert verified.code == 1
    assert "under conditions (0123456789abcdef) that no session of the run has" in verified.out


def test_a_session_without_an_end_was_killed(half, bench):
    with Store.open(half.folder) as store:
        (session,) = store.metadata.sessions
        store.update_metadata(status="running", sessions=[{**session, "status": "running", "finished": None}])
    resumed = bench("--resume")
    assert [session["status"] for session in resumed.run["sessions"]] == ["killed", "finished"]


def test_run_is_resumed_after_its_protocol_was_described_anew(half, bench):
    stored = json.loads((half.folder / "run.json").read_text())
    stored["protocol"] |= {"source": "former words", "notes": "former words"}
    (half.folder / "run.json").write_text(json.dumps(stored))
    assert bench("--resume").code == 0


def test_a_run_of_an_earlier_version_can_be_resumed(half, bench):
    run = json.loads((half.folder / "run.json").read_text())
    del run["sessions"], run["unfinished"], run["policy"]["fingerprint"]["args"]
    (half.folder / "run.json").write_text(json.dumps(run))
    resumed = bench("--resume")
    assert resumed.code == 0
    first, second = resumed.run["sessions"]
    assert (first["started"], first["versions"]) == (run["created"], run["versions"])
    assert second["conditions"]


def test_arguments_are_part_of_the_policys_fingerprint(bench):
    plain = bench("--episodes", 1, "--tasks", 0, out="plain")
    one = bench("--episodes", 1, "--tasks", 0, "--policy-arg", "chunk=1", out="one")
    two = bench("--episodes", 1, "--tasks", 0, "--policy-arg", "chunk=2", out="two")
    assert "args" not in plain.run["policy"]["fingerprint"]
    assert one.run["policy"]["fingerprint"] == {"class": "fakes:Walk", "args": {"chunk": "1"}}
    assert len({played.run["sessions"][0]["policy_fingerprint"] for played in (plain, one, two)}) == 3


BASE = {
    "protocol": {"name": "toy/plain", "version": 1, "replan": None},
    "config": {"max_steps": None, "workers": 2},
    "assets": {"pack": "toy", "fingerprint": "f", "path": "/here"},
    "backend": "",
    "policy": {"name": "p", "args": {}, "fingerprint": {"class": "p"}, "marks": []},
}
GL = {"backend": "egl", "renderer": "H200"}
VERSIONS = {"mujoco": "3.3.2", "nora-bench": "1.0", "cpu": "this"}


def conditions(run, gl, versions):
    return run_sessions.conditions(RunMetadata.from_json(run), gl, versions)


@pytest.mark.parametrize(
    ("run", "gl", "versions"),
    [
        ({"protocol": {**BASE["protocol"], "replan": 5}}, GL, VERSIONS),
        ({"config": {"max_steps": 3}}, GL, VERSIONS),
        ({"assets": {"pack": "toy", "fingerprint": "g"}}, GL, VERSIONS),
        ({"backend": "sapien2"}, GL, VERSIONS),
        ({"policy": {**BASE["policy"], "args": {"speed": "0.2"}}}, GL, VERSIONS),
        ({"policy": {**BASE["policy"], "fingerprint": {"class": "q"}}}, GL, VERSIONS),
        ({}, {**GL, "renderer": "llvmpipe"}, VERSIONS),
        ({}, GL, {**VERSIONS, "mujoco": "2.3.7"}),
    ],
)
def test_result_relevant_fields_change_the_conditions(run, gl, versions):
    assert conditions({**BASE, **run}, gl, versions) != conditions(BASE, GL, VERSIONS)


def test_irrelevant_fields_keep_the_conditions():
    other = {**BASE, "config": {"max_steps": None, "workers": 9}, "assets": {**BASE["assets"], "path": "/there"}}
    versions = {**VERSIONS, "nora-bench": "2.0", "cpu": "that"}
    assert conditions(other, GL, versions) == conditions(BASE, GL, VERSIONS)


def test_contradicted_episode_is_not_rerun(half, bench):
    lines = (half.folder / "episodes.jsonl").read_text()
    values = json.loads(lines)
    other = {**values, "success": False, "termination": "budget", "trajectory_sha256": "f" * 64}
    del other["crc32"]
    (half.folder / "episodes.jsonl").write_text(lines + json.dumps(other) + "\n")
    resumed = bench("--resume")
    assert resumed.code == 1
    assert "2 episodes to run (1 are finished)" in resumed.out
    assert resumed.records[values["key"]].success is None
    assert resumed.run["counts"] == {"planned": 3, "repeated": 0, "done": 3, "errors": 1}
    assert "0 episodes to run" in bench("--resume").out
