import json

import pytest
import typer
from nora_bench.results import layouts
from nora_bench.results.store.reader import read_run
from nora_bench.results.trials import TrialError, gaps, parse, read, records, tasks

HEAD = "task,trial,start,success,partial,distractor\n"


@pytest.fixture
def file(tmp_path):
    """Writes a CSV file of trials: `file("Put apple in plate,1,1,1,1,")`."""

    def make(*lines, head=HEAD):
        path = tmp_path / "trials.csv"
        path.write_text(head + "\n".join(lines) + "\n")
        return path

    return make


def test_a_trial_is_read(file):
    (trial,) = read(file("Put strawberry in plate [apple],3,2,0,1,1"), "galaxea-a1")
    assert (trial.trial, trial.start, trial.success, trial.partial, trial.distractor) == (3, 2, False, True, True)


@pytest.mark.parametrize("name", ["put APPLE in plate", "τ2", "Put apple in plate"])
def test_tasks_are_known_by_name_and_number(name):
    assert parse({"task": name, "trial": "1", "success": "yes"}, "galaxea-a1").task == "Put apple in plate"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Put aple in plate,1,1,1,1,", "line 2: unknown task 'Put aple in plate' .did you mean Put apple in plate"),
        ("Put apple in plate,0,1,1,1,", "line 2: trial is '0'"),
        ("Put apple in plate,1,left,1,1,", "line 2: start is 'left'"),
        ("Put apple in plate,1,1,maybe,1,", "line 2: success is 'maybe'"),
        ("Put apple in plate,1,1,,1,", "line 2: success is empty"),
        ("Put apple in plate,1,1,1,0,", "line 2: success 1 requires partial 1"),
        ("Put apple in plate,1,1,1,1,1", "line 2: distractor must be empty"),
        ("Put apple in plate,1,1,1,1,\nPut apple in plate,1,2,1,1,", "has trial 1 twice"),
        ("", "contains no trials"),
    ],
)
def test_invalid_trial_is_rejected_with_its_line(file, line, message):
    with pytest.raises(TrialError, match=message):
        read(file(*line.split("\n")) if line else file(), "galaxea-a1")


@pytest.mark.parametrize("head", ["task,trial\n", "task,trial,success,mood\n"])
def test_other_columns_are_refused_with_the_right_ones(file, head):
    with pytest.raises(TrialError, match="task,trial,start,success,partial,distractor"):
        read(file("x", head=head), "galaxea-a1")


def test_a_second_trial_at_a_start_position_is_another_seed(file):
    found = read(file("τ2,1,1,1,1,", "τ2,2,1,0,0,"), "galaxea-a1")
    assert [(r.init_state, r.seed) for r in records(found, "galaxea-a1", "p")] == [(0, 0), (0, 1)]


def test_missing_trials_are_named(file):
    found = read(file("τ2,1,1,1,1,"), "galaxea-a1")
    assert "Put apple in plate: 1 of the paper's 10 trials" in list(gaps(found, "galaxea-a1"))


@pytest.mark.parametrize(("suite", "count"), [("widowx", 9), ("galaxea-a1", 13)])
def test_the_papers_tasks_are_the_suites(suite, count):
    assert len(tasks(suite)) == count


def test_trials_from_a_file_fill_the_papers_table(cli, file, tmp_path):
    path = file(*(f"τ2,{n},{n},{int(n < 8)},{int(n < 9)}," for n in range(1, 11)))
    assert cli("trials", path, "--policy", "mine", "--out", tmp_path / "run").code == 0
    cells = json.loads(cli("table", "nora15/table3", tmp_path / "run", "--json").out)["cells"]
    shown = {c["metric"]: (c["k"], c["n"]) for c in cells if c["kind"] == "measured"}
    assert shown == {"success": (7, 10), "partial": (8, 10)}


def test_trials_can_be_entered_and_continued(cli, tmp_path, monkeypatch):
    answers = [True, False, True]  # a success; then a failure, right object grasped; then Ctrl-C

    def answer(_):
        if not answers:
            raise typer.Abort
        return answers.pop(0)

    monkeypatch.setattr("typer.confirm", answer)
    command = ["trials", "--suite", "widowx", "--policy", "p", "--out", tmp_path / "run", "--trials", "1"]
    assert cli(*command).code == 1
    kept = read_run(tmp_path / "run").records
    assert [(r.success, r.measures["partial"]) for r in kept] == [(True, True), (False, True)]
    monkeypatch.setattr("typer.confirm", lambda _: True)
    assert cli(*command).code == 0
    assert len(read_run(tmp_path / "run").records) == 9


def test_the_runner_needs_to_know_whose_trials(cli, file):
    assert "--policy NAME" in cli("trials", file("τ2,1,1,1,1,")).err


def test_every_suite_of_trials_has_its_table():
    for suite in ("widowx", "galaxea-a1"):
        assert any(suite in layouts.get(id).suites for id in layouts.ids())


ROWS = [["task", "trial", "start", "success"], ["Put apple in plate", "1", "2", "1"]]


def text(separator=",", quote="", end="\n"):
    return "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + end for row in ROWS)


@pytest.mark.parametrize(
    "data",
    [
        text().encode(),
        b"\xef\xbb\xbf" + text().encode(),
        text(quote='"').encode(),
        b"\xef\xbb\xbf" + text(quote='"').encode(),
        text(end="\r\n").encode(),
        text().replace("task,", "task , ").encode(),
    ],
    ids=["plain", "mark of byte order", "quoted", "mark and quoted", "Windows", "spaces in the header"],
)
def test_spreadsheet_csv_with_commas_is_read(tmp_path, data):
    (tmp_path / "trials.csv").write_bytes(data)
    (trial,) = read(tmp_path / "trials.csv", "galaxea-a1")
    assert (trial.task, trial.start, trial.success) == ("Put apple in plate", 2, True)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (text(";").encode(), "semicolons"),
        (b"\xef\xbb\xbf" + text(";", quote='"').encode(), "semicolons"),
        (("sep=;\n" + text(";")).encode(), "semicolons"),
        (text("\t").encode(), "tabs"),
        (b'"task,trial,success"\n', "quotes"),
        (b"Put apple in plate,1,2,1\n", "lacks the columns success, task, trial .its first line names Put apple in plate"),
        (b"", "lacks the columns"),
        (b"task,trial,success,success\nx,1,1,0\n", "success twice"),
        (text().encode("utf-16"), "UTF-8"),
        (b"task,trial,success\nPut apple, in plate,1,1\n", "4 values in line 2 and 3 columns"),
        (b'task,trial,success\n"Put apple in plate,1,1\n', "not a CSV file"),
    ],
)
def test_another_layout_is_refused_with_the_wanted_one(tmp_path, data, says):
    (tmp_path / "trials.csv").write_bytes(data)
    with pytest.raises(TrialError, match=rf"{says}.*separated by commas.*task,trial,start,success"):
        read(tmp_path / "trials.csv", "galaxea-a1")


def test_the_line_is_the_files_own_also_behind_empty_ones(file):
    with pytest.raises(TrialError, match="line 4: trial is 'x'"):
        read(file("τ2,1,1,1,1,", "", "τ2,x,1,1,1,"), "galaxea-a1")
