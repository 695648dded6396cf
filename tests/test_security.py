"""docs/reference/security.md: each promise has its test; those that have no other place are here."""

import ast
import json
import re

import pytest
from test_layers import MAY_IMPORT, ROOT

TABLE = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", (ROOT / "docs" / "reference" / "security.md").read_text(), re.MULTILINE)
RUN_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
CALLS = {"eval", "exec", "torch.load", "yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads"}


def test_the_promises_are_numbered():
    assert [int(number) for number, _ in TABLE] == [*range(1, len(TABLE) + 1)]


@pytest.mark.parametrize(("number", "cell"), TABLE, ids=[number for number, _ in TABLE])
def test_each_promise_has_its_test(number, cell):
    named = re.findall(r"`([\w/.-]+)::(\w+)`", cell)
    assert named
    for path, test in named:
        assert f"\ndef {test}(" in (ROOT / path).read_text(), f"promise {number}: {path} has no {test}"


def dangers(tree):
    """What in a module could run data: imports and calls by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in RUN_DATA)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in RUN_DATA:
            yield node.module
        elif isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in CALLS or (name == "np.load" and given.get("allow_pickle") != "False"):
                yield name
            if name == "yaml.load" and ast.unparse(node.args[1]) != "Plain":
                yield name


@pytest.mark.parametrize(
    "code", ["import pickle", "eval(x)", "np.load(p)", "yaml.load(t, yaml.Loader)", "torch.load(p)", "from dill import loads"]
)
def test_what_runs_data_is_recognised(code):
    assert [*dangers(ast.parse(code))]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_nothing_that_runs_data_is_called(package):
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in (ROOT / package).rglob("*.py")
        if (names := [*dangers(ast.parse(path.read_text(encoding="utf-8")))])
    }
    assert found == {}


def test_an_export_lands_where_the_user_stands(cli, tmp_path, monkeypatch):
    run, here = tmp_path / "theirs", tmp_path / "here"
    run.mkdir()
    here.mkdir()
    (run / "run.json").write_text(json.dumps({"version": 1, "created": "../../out"}))
    monkeypatch.chdir(here)
    assert cli("export", run, "--format", "inspect").code == 0
    assert [path.name for path in here.iterdir()] == ["..-..-out_nora-bench_theirs.json"]
