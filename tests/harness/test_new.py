"""Packages of `nora-bench new`, and the plug-in in tests/plugin, are installed, tested and run."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1] / "plugin"
PYTHONPATH = os.pathsep.join(entry for entry in sys.path if entry)


def run(*command, at, path):
    """Python with these arguments in a folder, with plug-ins installed at `path`."""
    environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{PYTHONPATH}", "NORA_BENCH_HOME": str(at / "cache")}
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=at, env=environment, capture_output=True, text=True, check=False
    )


def bench(*args, at, path):
    return run("-c", "from nora_bench.harness.cli import main; main()", *args, at=at, path=path)


def install(source, tmp_path_factory):
    """The package installed into a folder of its own."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("building needs setuptools of this interpreter: pip install 'setuptools>=77'")
    copy, site = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("site")
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = ["pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site), str(copy)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    return install(PLUGIN, tmp_path_factory)


def test_installed_plug_in_runs_by_name(line, tmp_path):
    done = bench("run", "--suite", "line", "--policy", "homing", "--out", "run", "--json", at=tmp_path, path=line)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["counts"] == {"planned": 4, "repeated": 0, "done": 4, "errors": 0}
    assert said["versions"]["line-bench"] == "0.3.0"
    lines = [json.loads(text) for text in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()]
    assert {(one["init_state"], one["success"], one["steps"]) for one in lines} == {(n, True, n + 1) for n in range(4)}


def test_plug_in_is_listed_with_its_problems(line, tmp_path):
    done = bench("list", "policies", "--json", at=tmp_path, path=line)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert "stride" in json.dumps(rows["homing"])
    assert "No module named 'line_bench.missing'" in json.dumps(rows["broken"])
    assert "plug-in line_bench.policy:Homing uses the name of the built-in policy 'zero'; omitted" in done.stderr


def test_suite_of_the_plug_in_keeps_the_contract(line, tmp_path):
    code = "import nora_bench; from line_bench.suite import line; nora_bench.check_suite(line); print('kept')"
    assert run("-c", code, at=tmp_path, path=line).stdout == "kept\n"


@pytest.fixture
def created(cli, tmp_path, monkeypatch):
    """Creates a plug-in in the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(kind, name):
        ended = cli("new", kind, name)
        assert ended.code == 0, ended.err
        assert ended.out.endswith(f"Next: pip install -e {name} && pytest {name}\n")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("policy", "my-policy", ("--suite", "fakes:toy", "--policy", "my-policy", "--policy-arg", "chunk_size=2")),
        ("suite", "my_plane", ("--suite", "my_plane", "--policy", "random")),
    ],
)
def test_template_can_be_installed_tested_and_run(created, tmp_path_factory, tmp_path, kind, name, options):
    folder = created(kind, name)
    site = install(folder, tmp_path_factory)
    tested = run("-m", "pytest", "-q", folder, at=tmp_path, path=site)
    assert tested.returncode == 0, tested.stdout
    played = bench("run", *options, "--episodes", 2, "--out", "run", at=tmp_path, path=site)
    assert played.returncode == 0, played.stderr
    assert len((tmp_path / "run" / "episodes.jsonl").read_text().splitlines()) == 6


@pytest.mark.parametrize("kind", ["policy", "suite"])
def test_template_passes_the_linter(created, kind):
    pytest.importorskip("ruff", reason="pip install 'nora-bench[dev]'")
    folder = created(kind, "my-plug-in")
    for command in (("check", "--select", "E,F,B,UP,ANN", "--ignore", "ANN201"), ("format", "--diff")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--line-length", "130", folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("policy", "random"), "policy random exists already"),
        (("suite", "libero_goal"), "suite libero_goal exists already"),
        (("suite", "libero"), "suite libero exists already"),
        (("policy", "My Policy"), "invalid plug-in name"),
        (("policy", "../there"), "invalid plug-in name"),
        (("policy", "mine", "--out", "."), "exists; choose another name"),
    ],
)
def test_invalid_plug_in_is_rejected(cli, tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    ended = cli("new", *args)
    assert ended.code == 2
    assert says in ended.err
    assert list(tmp_path.iterdir()) == []
