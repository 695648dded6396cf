"""Pages of the findings, from a folder of finished stages with invented outcomes."""

import json

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
from nora_bench.training.engine.config import TrainingError, read_recipe
from nora_bench.training.reproduce.choices import progress, write_choice
from nora_bench.training.reproduce.experiments import Experiments
from nora_bench.training.reproduce.findings_report import conclude_findings
from nora_bench.training.reproduce.markdown import markdown_table
from nora_bench.training.reproduce.pipeline import DONE

from ..made import evaluated

PHASES = ("approach", "grasp", "carry", "release")


def recipe(name):
    found = read_recipe(name, "findings", Experiments)
    found.validate()
    return found


def write_run(stage, outcome):
    """A finished run with two states of one task per suite; `outcome(name, suite, state)` is its success."""
    suites = [word for option, word in zip(stage.command, stage.command[1:], strict=False) if option == "--suite"]
    outcomes = [(suite, state, outcome(stage.name, suite, state)) for suite in suites for state in range(2)]
    evaluated(stage.run_folder, outcomes, "0123456789abcdef" * 4)


def write_measurement(settings, stage, counts):
    """A finished measurement whose rewards all order `counts(name)` = (correct, pairs) pairs, in every phase."""
    folder = stage.folder("--out")
    folder.mkdir(parents=True)
    name, _, seed = stage.name.removeprefix("measurement-").rpartition("-seed")
    labels = {f"{part}-seed{seed}": settings.labels[part].rewards for part in settings.measurements[name].labels}
    by_phase = {phase: counts(stage.name) for phase in ("all", *PHASES) if counts(stage.name)[1]}
    pairs = {part: dict.fromkeys(rewards, by_phase) for part, rewards in labels.items()}
    (folder / "accuracy.json").write_text(json.dumps(pairs))
    states = {part: dict.fromkeys(rewards, (3, 4)) for part, rewards in labels.items()}
    (folder / "facts.json").write_text(json.dumps({"spread": 0.5, "pairs": pairs, "states": states}))


def finish(settings, out, outcome, counts):
    """All stages as if they were done."""
    (out / DONE).mkdir()
    for name, choice in settings.choices.items():
        write_choice(out, name, choice.assumed, {})
    for stage in progress(settings, out).stages:
        (out / DONE / f"{stage.name}.json").write_text(json.dumps({"command": stage.command, "seconds": 1.0}))
        if stage.run_folder:
            write_run(stage, outcome)
        elif stage.command[0] == "measure-rewards":
            write_measurement(settings, stage, counts)


def pages(settings, out):
    said = []
    written = {path.name: path.read_text() for path in conclude_findings(settings, out, said.append)}
    assert not said
    return written


def varied(name, suite, state):
    return hash_of(name + suite + str(state)) % 3 > 0


def hash_of(text):
    return sum(ord(letter) * place for place, letter in enumerate(text, 1))


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    out = tmp_path_factory.mktemp("nano")
    settings = recipe("nano")
    finish(settings, out, varied, lambda name: (30 + hash_of(name) % 20, 60))
    return pages(settings, out)


def test_pages_fit_a_terminal(nano):
    assert {*nano} == {"f1.md", "f2.md", "f3.md", "f4.md", "primaries.md", "findings.json"}
    assert [
        (name, line) for name, page in nano.items() if name.endswith(".md") for line in page.splitlines() if len(line) > 80
    ] == []


def test_pages_have_the_descriptive_tables_of_the_plan(nano):
    assert "after 1/3" in nano["f1.md"] and "after 2/3" in nano["f1.md"]
    assert all(phase in nano["f4.md"] for phase in PHASES)
    for page in (nano["f3.md"], nano["f4.md"]):
        assert any(line.startswith("| reached/wm-subgoal+gta ") and "0.50" in line and "75" in line for line in page.splitlines())
    assert "## Learning curves" not in nano["f2.md"] and "## By phase" not in nano["f3.md"]


def test_json_has_every_number_with_complete_digests(nano):
    findings = json.loads(nano["findings.json"])["findings"]
    first = findings["F1"]["comparisons"][0]
    assert first["comparison"]["primary"] and {"over", "power", "verdict", "corrected"} <= {*first}
    assert findings["F1"]["arms"]["joint-flow"]["5"]["weights_sha256"] == "0123456789abcdef" * 4
    assert findings["F4"]["arms"]["reached/reached/gta"]["0"]["pairs"] == 60


def test_tiny_run_in_which_all_fails_concludes_nothing(tmp_path):
    settings = recipe("quick")
    finish(settings, tmp_path, lambda *which: False, lambda name: (0, 0))
    written = pages(settings, tmp_path)
    for name, page in written.items():
        if name.endswith(".md"):
            assert "nothing was learned" in " ".join(page.split()) and "holds" not in page and "reversed" not in page
            assert all(len(line) <= 80 for line in page.splitlines()) and "nan" not in page
    numbers = json.loads(written["findings.json"])
    assert numbers["note"] == settings.note
    assert all(one["problem"] for finding in numbers["findings"].values() for one in finding["comparisons"])


def test_finding_waits_for_its_curves_and_measurements(tmp_path):
    settings = recipe("quick")
    finish(settings, tmp_path, varied, lambda name: (1, 2))
    for stage, waiting in (("evaluate-joint-flow-seed1-at1", "F1"), ("measurement-reached-seed0", "F3")):
        path = tmp_path / DONE / f"{stage}.json"
        text = path.read_text()
        path.unlink()
        said = []
        conclude_findings(settings, tmp_path, said.append)
        assert any(line.startswith(waiting) and stage in line for line in said)
        path.write_text(text)


def test_damaged_measurement_is_rejected(tmp_path):
    settings = recipe("quick")
    finish(settings, tmp_path, varied, lambda name: (1, 2))
    path = tmp_path / "measurements" / "reached-seed0" / "accuracy.json"
    path.write_text("{")
    with pytest.raises(TrainingError, match=str(path)):
        conclude_findings(settings, tmp_path, lambda line: None)


def test_columns_of_a_table_are_padded():
    assert markdown_table(("a", "long"), [("longer", "1")]) == ["| a      | long |", "| ------ | ---- |", "| longer | 1    |"]
