"""The verb `run`: options, variables, files, messages."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from nora_bench.harness.cli import build
from nora_bench.harness.config import RunConfig
from nora_bench.results.store.reader import read_run

TOY = ("--suite", "fakes:toy", "--policy", "fakes:Walk", "--episodes", "1")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every test starts in an empty folder."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def options():
    return [parameter for parameter in build("run").params if parameter.opts[0] not in ("--help", "-h")]


def test_every_option_can_be_a_variable():
    for option in options():
        assert option.envvar == "NORA_BENCH_" + option.opts[0][2:].upper().replace("-", "_")


def test_every_field_of_the_configuration_is_an_option_with_help():
    by_name = {option.name: option for option in options()}
    for field in fields(RunConfig):
        assert by_name[field.name].help[0].isalpha(), field.name


def test_shown_defaults_are_the_fields_defaults():
    for option in options():
        field = RunConfig.__dataclass_fields__.get(option.name)
        if field and isinstance(field.default, str | int | float) and not isinstance(field.default, bool):
            assert field.metadata["parse"](option.show_default) == field.default


def test_runs_get_readable_names_and_are_never_overwritten(cli):
    for _ in range(2):
        assert cli("run", *TOY).code == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["toy-walk", "toy-walk-2"]


def test_options_take_precedence_over_variables(cli, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TASKS", "1")
    monkeypatch.setenv("NORA_BENCH_EPISODES", "5")
    cli("run", *TOY, "--out", "here")
    assert [record.key for record in read_run("here").records] == ["toy/task1/init0/seed0@toy/plain"]


def test_options_take_precedence_over_the_file(cli):
    Path("run.yaml").write_text("suite: fakes:toy\npolicy: fakes:Walk\nepisodes: 2\ntasks: 0\n")
    cli("run", "--config", "run.yaml", "--tasks", "2", "--out", "here")
    assert {record.task_id for record in read_run("here").records} == {2}
    assert len(read_run("here").records) == 2


def test_json_is_the_only_output_on_stdout(cli):
    ended = cli("run", *TOY, "--out", "here", "--json")
    summary = json.loads(ended.out)
    assert (summary["run"], summary["exit_code"], summary["counts"]["done"]) == ("here", 0, 3)
    assert "3 episodes to run" in ended.err


def test_json_reports_a_failure(cli):
    ended = cli("run", "--suite", "fakes:toy", "--policy", "fakes:Wrong", "--policy-arg", "kind=nan", "--out", "here", "--json")
    assert (ended.code, json.loads(ended.out)["status"], json.loads(ended.out)["exit_code"]) == (4, "failed", 4)


def test_dry_run_prints_the_plan_and_writes_nothing(cli):
    ended = cli("run", *TOY, "--seeds", "3", "--out", "here", "--dry-run")
    assert ended.code == 0
    for text in ("toy 3", "at most 66, settling included", "6 more episodes would repeat", "declares no cost", "GiB free"):
        assert text in ended.out
    assert not Path("here").exists()


def test_dry_run_estimates_costs_and_names_their_source(cli):
    args = ("--suite", "fakes:priced", "--policy", "fakes:Stagger", "--seeds", "5", "--workers", "1", "--dry-run", "--json")
    plan = json.loads(cli("run", *args).out)["plan"]
    assert (plan["episodes"], plan["steps"], plan["decisions"]) == ({"toy": 150}, 150 * 22, 150 * 20)
    assert plan["hours"] == pytest.approx((3300 * 3.6 + 3000 * 36 + 150 * 360 + 3 * 3600) / 3600)
    assert plan["memory_gib"] == 0.5
    assert "figures of toy" in plan["source"]


def test_dry_run_of_a_resumed_run_plans_the_missing_episodes(cli):
    cli("run", *TOY, "--out", "here")
    lines = Path("here/episodes.jsonl").read_text().splitlines(keepends=True)
    Path("here/episodes.jsonl").write_text(lines[0])
    assert json.loads(cli("run", "--resume", "--out", "here", "--dry-run", "--json").out)["plan"]["episodes"] == {"toy": 2}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--suite", "libero_gaol"), "unknown suite 'libero_gaol' (did you mean libero_goal"),
        (("--suite", "fakes:toy", "--policy", "scriptd"), "unknown policy 'scriptd' (did you mean scripted?)"),
        (("--suite", "fakes:toy", "--policy", "zero", "--policy-arg", "chunks=2"), "did you mean chunk"),
        (("--suite", "fakes:toy", "--protocol", "libero/norra"), "unknown protocol 'libero/norra' (did you mean libero/nora"),
        (("--suite", "fakes:toy", "--policy", "zero", "--tasks", "9"), "toy has no task 9"),
        (("--suite", "fakes:toy", "--seeds", "some"), "--seeds 'some'"),
        (("--config", "nowhere.yaml"), "nowhere.yaml"),
        (("--suite", "fakes:toy", "--until", "sure"), "'sure' is not a stopping rule. Write `width<2`"),
        (("--suite", "fakes:toy", "--policy", "zero", "--until", ">runs/B"), "runs/B is not a run"),
        (("--suite", "fakes:toy", "--video", "some"), "--video 'some': expected one of none, failures, all"),
        (("--resume",), "nora-bench run --resume --out runs/NAME"),
        (("--resume", "--out", "nowhere"), "nowhere is not a run"),
        ((), "no suite given"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(cli, args, says):
    ended = cli("run", *args)
    assert ended.code == 2
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert not Path("runs").exists()


def test_resume_with_another_configuration_is_rejected(cli):
    cli("run", *TOY, "--out", "here")
    ended = cli("run", "--resume", "--out", "here", "--seeds", "5")
    assert ended.code == 2
    assert "--seeds differs from the stored run" in ended.err


def test_resume_may_change_execution_only_options(cli):
    cli("run", *TOY, "--out", "here")
    assert cli("run", "--resume", "--out", "here", "--workers", "1", "--timeout", "9", "--retries", "0").code == 0


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("assets", {"pack": "toy", "fingerprint": "other", "path": ""}, "its assets has changed (fingerprint was 'other'"),
        ("protocol", {"name": "toy/plain", "version": 0}, "its protocol has changed"),
        ("versions", {"toy": "0"}, "its versions has changed"),
        ("gl", {"backend": "egl", "renderer": "some GPU"}, "its gl has changed"),
    ],
)
def test_resume_under_other_conditions_is_rejected(cli, part, value, says):
    cli("run", *TOY, "--out", "here")
    run = json.loads(Path("here/run.json").read_text())
    Path("here/run.json").write_text(json.dumps({**run, part: value}))
    Path("here/episodes.jsonl").write_text("")
    ended = cli("run", "--resume", "--out", "here")
    assert ended.code == 2
    assert says in ended.err
    assert "--resume" not in ended.err
    assert read_run("here").records == ()


def test_relative_asset_folders_reach_the_workers(cli):
    Path("pack").mkdir()
    Path("pack/trouble.json").write_text(json.dumps([{"kind": "scene_check", "phase": "reset", "times": 9}]))
    assert cli("run", *TOY, "--assets", "pack", "--out", "here").code == 1
