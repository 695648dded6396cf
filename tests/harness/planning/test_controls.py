"""Controls that are taken from another run: only those of the same policy under the same conditions."""

import json
import shutil

import pytest

LATE = ("--perturb", "latency:200ms")


@pytest.fixture
def timed(bench, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy_timed")
    return lambda *args, **options: bench(
        "--tasks", 0, "--episodes", 2, "--no-policy-check", "--workers", 1, *args, suite="fakes:toy_timed", **options
    )


@pytest.mark.parametrize(
    ("controls", "policy", "cause"),
    [
        ((), "fakes:Stagger", "fakes:Stagger"),
        (("--max-steps", 5), "fakes:Walk", "max steps"),
        (("--policy-arg", "chunk=2"), "fakes:Walk", "chunk=2"),
    ],
)
def test_run_of_another_policy_or_under_other_conditions_lends_no_controls(timed, tmp_path, controls, policy, cause):
    other = timed(*controls, policy=policy, out="other")
    refused = timed(*LATE, "--control", other.folder, out="late")
    assert refused.code == 2
    assert "--control" in refused.err and cause in refused.err
    assert not refused.folder.exists()


def test_run_without_any_of_the_controls_is_rejected(timed):
    other = timed("--tasks", 1, out="other")
    refused = timed(*LATE, "--control", other.folder, out="late")
    assert (refused.code, "task0/init0" in refused.err) == (2, True)


def test_folder_of_the_controls_may_move_before_a_run_resumes(timed, cli, tmp_path):
    plain = timed(out="plain")
    late = timed(*LATE, "--control", plain.folder, out="late")
    before = late.trajectories
    path = late.folder / "episodes.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    shutil.move(plain.folder, tmp_path / "moved")
    gone = cli("run", "--resume", "--out", late.folder)
    assert (gone.code, "--control" in gone.err) == (2, True)
    assert cli("run", "--resume", "--out", late.folder, "--control", tmp_path / "moved").code == 0
    assert late.trajectories == before


def test_controls_are_not_added_to_a_run_that_has_its_own(timed, cli):
    plain, own = timed(out="plain"), timed(*LATE, out="own")
    assert cli("run", "--resume", "--out", own.folder, "--control", plain.folder).code == 2
    assert own.run["counts"]["planned"] == 4


@pytest.mark.parametrize("damage", ["run.json", "episodes.jsonl"])
def test_damaged_run_lends_no_controls(timed, damage):
    plain = timed(out="plain")
    (plain.folder / damage).write_text("{")
    refused = timed(*LATE, "--control", plain.folder, out="late")
    assert (refused.code, str(plain.folder) in refused.err.replace("\n", "")) == (2, True)


def test_perturbed_plan_gives_the_same_trajectories_and_images_for_any_number_of_workers(timed):
    """The policy's actions follow the images: equal trajectories mean equal images."""
    perturb = ("--perturb", "latency:100ms,noise:1,language:none")
    one = timed(*perturb, policy="fakes:Stagger", out="one").trajectories
    two = timed(*perturb, "--workers", 2, policy="fakes:Stagger", out="two").trajectories
    assert len(one) == 8
    assert one == two


def test_table_shows_a_run_that_is_named_twice_once(timed, cli):
    run = timed(*LATE, out="late").folder
    cells = json.loads(cli("table", "robust", run, run, "--json").out)["cells"]
    assert sum(cell["item"] == "latency" for cell in cells) == 1


def test_floor_without_perturbed_episodes_is_rejected(timed, cli):
    plain, late = timed(out="plain").folder, timed(*LATE, out="late").folder
    refused = cli("table", "robust", late, "--floor", plain)
    assert (refused.code, "--floor" in refused.err) == (2, True)


def test_leaderboards_say_that_a_run_has_perturbed_episodes_only(timed, cli, tmp_path):
    plain = timed(out="plain")
    late = timed(*LATE, "--control", plain.folder, out="late").folder
    for form in ("eee", "vla-eval"):
        refused = cli("export", late, "--format", form, "--out", tmp_path / form)
        assert (refused.code, "perturbation" in refused.err) == (2, True)
