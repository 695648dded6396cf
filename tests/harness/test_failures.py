"""Failure classes from the command line: recorded with the run, or by replaying it."""

import csv
import json
import re

import pytest


@pytest.fixture
def failed(bench, monkeypatch):
    """A run of three failed toy episodes whose environment has moments."""
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy_felt")
    return bench("--init-states", "2", suite="fakes:toy_felt", policy="zero")


def forget_features(folder):
    path = folder / "episodes.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    stripped = [{name: value for name, value in line.items() if name not in ("features", "crc32")} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in stripped))


def test_failed_episode_records_its_features(failed, cli):
    assert all(record.features["approach_m"] >= 0.3 for record in failed.records.values())
    found = json.loads(cli("failures", failed.folder, "--json").out)
    assert found["classes"] == {"never_reached": 3}
    assert [task["classes"] for task in found["tasks"]] == [{"never_reached": 1}] * 3


def test_success_records_no_features(bench, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy_felt")
    assert all(record.features == {} for record in bench("--init-states", "2", suite="fakes:toy_felt").records.values())


def test_replay_classifies_a_run_recorded_without_features(failed, cli):
    forget_features(failed.folder)
    assert json.loads(cli("failures", failed.folder, "--json").out)["classes"] == {"unknown": 3}
    before = (failed.folder / "episodes.jsonl").read_bytes()
    assert cli("failures", failed.folder, "--replay", "--json").code == 0
    assert json.loads(cli("show", failed.folder, "--json").out)["failures"]["classes"] == {"never_reached": 3}
    assert (failed.folder / "episodes.jsonl").read_bytes() == before


def test_replayed_features_of_another_trajectory_do_not_count(failed, cli):
    forget_features(failed.folder)
    cli("failures", failed.folder, "--replay")
    path = failed.folder / "features.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({key: {**entry, "trajectory_sha256": "0" * 64} for key, entry in values.items()}))
    assert json.loads(cli("failures", failed.folder, "--json").out)["classes"] == {"unknown": 3}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"trajectory_sha256": "", "features": {"x": "y"}}}', "\x00"])
def test_damaged_features_file_is_named(failed, cli, text):
    (failed.folder / "features.json").write_text(text)
    ended = cli("failures", failed.folder)
    assert ended.code == 2 or "never reached 3" in ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("value", ["NaN", "1e999", "1" + "0" * 400, "true", '"1"', "null", "[1]"])
def test_feature_that_is_no_finite_number_is_named(failed, cli, value):
    forget_features(failed.folder)
    cli("failures", failed.folder, "--replay")
    path = failed.folder / "features.json"
    path.write_text(re.sub(r'("approach_m": )[^,}]+', rf"\g<1>{value}", path.read_text()))
    for command in (("failures", failed.folder), ("show", failed.folder), ("failures", failed.folder, "--replay")):
        ended = cli(*command)
        assert ended.code == 2
        assert "approach_m" in ended.err
        assert "--replay" in ended.err


def test_suite_without_moments_is_named(bench, cli):
    run = bench("--init-states", "2", policy="zero")
    ended = cli("failures", run.folder, "--replay", "--json")
    assert ended.code == 1
    assert len(json.loads(ended.out[ended.out.index("{") :])["problems"]) == 3


def test_sheet_has_a_strip_per_failure_and_no_class(failed, cli, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pip install Pillow")
    assert cli("failures", failed.folder, "--sheet", tmp_path / "sheet", "--count", 2).code == 0
    rows = list(csv.DictReader((tmp_path / "sheet" / "labels.csv").open()))
    assert [row["class"] for row in rows] == ["", ""]
    assert {row["key"] for row in rows} <= failed.records.keys()
    with image.open(tmp_path / "sheet" / "001.png") as strip:
        assert strip.size == (6 * 8, 4 * 8)
    assert cli("failures", failed.folder, "--sheet", tmp_path / "sheet").code == 2


def test_compare_names_the_classes_that_were_fixed(failed, bench, cli, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy_felt")
    better = bench("--init-states", "2", suite="fakes:toy_felt", out="better")
    found = json.loads(cli("compare", failed.folder, better.folder, "--json").out)["failures"]
    assert (found["fixed"], found["new"]) == ({"never_reached": 3}, {})
    assert "never reached 3" in cli("compare", failed.folder, better.folder).out


def page(cli, run, *options):
    """The report of a run."""
    path = run.folder.parent / "page.html"
    ended = cli("report", run.folder, "--out", path, *options)
    assert ended.code == 0, ended.err
    return path.read_text()


def test_report_without_videos_states_the_command_that_renders_examples(failed, cli):
    assert f"nora-bench report {failed.folder} --examples" in page(cli, failed)


def test_report_renders_one_example_of_each_class_and_keeps_it(failed, cli):
    shown = page(cli, failed, "--examples")
    assert shown.count("data:image/jpeg;base64,") == 1
    assert "--examples" not in shown
    (path,) = (failed.folder / "examples").iterdir()
    before = path.stat().st_mtime_ns
    assert page(cli, failed, "--examples").count("data:image/jpeg;base64,") == 1
    assert path.stat().st_mtime_ns == before
    assert page(cli, failed).count("data:image/jpeg;base64,") == 1


def test_report_of_a_suite_that_is_not_trusted_renders_no_example(failed, cli, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TRUST", "")
    assert cli("report", failed.folder, "--examples", "--out", failed.folder.parent / "page.html").code == 2
    assert not (failed.folder / "examples").exists()


def change_trajectory(folder):
    """Give the first record another trajectory."""
    path = folder / "episodes.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0] = {**lines[0], "trajectory_sha256": "0" * 64}
    lines[0].pop("crc32")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines[0]["key"]


def test_example_of_another_trajectory_is_not_shown(failed, cli):
    key = change_trajectory(failed.folder)
    ended = cli("report", failed.folder, "--examples", "--out", failed.folder.parent / "page.html")
    assert f"example {key}: the replay DIFFERS" in ended.out
    assert "data:image/jpeg" not in (failed.folder.parent / "page.html").read_text()


def test_sheet_omits_failures_whose_replay_differs(failed, cli, tmp_path):
    key = change_trajectory(failed.folder)
    assert cli("failures", failed.folder, "--sheet", tmp_path / "sheet").code == 0
    rows = list(csv.DictReader((tmp_path / "sheet" / "labels.csv").open()))
    assert key not in {row["key"] for row in rows}
    assert {row["image"] for row in rows} == {path.name for path in (tmp_path / "sheet").glob("*.png")}


def test_report_counts_classes_with_an_example(failed, cli, tmp_path):
    assert cli("report", failed.folder, "--out", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Failure classes" in page
    assert "the gripper never came to the object" in page
