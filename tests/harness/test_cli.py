import subprocess
import sys
from importlib import import_module
from keyword import iskeyword
from types import SimpleNamespace

import pytest
from nora_bench.envs.errors import Interrupted, MissingRequirementError
from nora_bench.harness import cli as command_line
from nora_bench.harness.cli import BUG, HOMES, VERBS, build
from nora_bench.harness.cli.run import _detectable

HEAVY = {"numpy", "pandas", "scipy", "mujoco", "robosuite", "torch", "numba", "PIL", "matplotlib", "msgspec", "psutil"}


def raising(error):
    def verb():
        """Raise."""
        raise error

    return verb


@pytest.fixture
def verb(monkeypatch):
    """Replaces the function of the verb `list`."""

    def put(function):
        monkeypatch.setattr(command_line, "import_module", lambda *_: SimpleNamespace(list=function))

    return put


def test_help_names_every_verb(cli):
    shown = cli("--help")
    assert shown.code == 0
    assert all(f" {name} " in shown.out for name in VERBS)


def test_help_imports_nothing_heavy():
    code = "import sys; from nora_bench.harness.cli import main\n"
    code += "try: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Usage" in done.stdout
    assert HEAVY.isdisjoint(done.stderr.split())


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help_with_an_example(cli, name):
    shown = cli(name, "--help")
    assert shown.code == 0
    assert f"Example: nora-bench {name}" in " ".join(shown.out.split())


@pytest.mark.parametrize("name", VERBS)
def test_every_option_has_help(name):
    assert [p.name for p in build(name).params if not getattr(p, "help", None)] == []


@pytest.mark.parametrize("name", VERBS)
def test_verb_is_a_function_in_a_module_of_its_name(name):
    module = name.replace("-", "_") + "_" * iskeyword(name)
    assert callable(getattr(import_module(f"nora_bench.{HOMES.get(name, 'harness')}.cli.{module}"), module))


def test_help_is_shown_without_arguments(cli):
    assert "Usage" in cli().out


@pytest.mark.parametrize("args", [["lst"], ["list", "suits"], ["list", "suites", "--jsn"]])
def test_unknown_names_end_with_code_2_and_a_hint(cli, args):
    ended = cli(*args)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_unknown_verb_names_the_nearest(cli):
    assert "did you mean list?" in cli("lst").err


@pytest.mark.parametrize(
    ("error", "code"),
    [(MissingRequirementError("no disk"), 3), (Interrupted("stopped"), 130), (PermissionError(13, "denied", "runs"), 2)],
)
def test_errors_have_documented_exit_codes(cli, verb, error, code):
    verb(raising(error))
    ended = cli("list")
    assert ended.code == code
    assert ended.err.startswith("nora-bench: ") and ended.err.count("\n") == 1


def test_folder_in_place_of_a_file_is_named(cli, verb, tmp_path):
    verb(raising(IsADirectoryError(21, "Is a directory", str(tmp_path))))
    ended = cli("list")
    assert ended.code == 2
    assert f"{tmp_path}/NAME" in ended.err


def test_file_in_place_of_a_run_is_not_suggested_as_a_folder(cli, tmp_path):
    file = tmp_path / "episodes.jsonl"
    file.write_text("")
    ended = cli("show", str(file))
    assert ended.code == 2
    assert f"--out {file}" not in ended.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--metric", "partial"), ("--metric", "--cell")),
        (("--table", "nora15/table2"), ("--table", "--cell")),
        (("--key", "a", "--cell", "b/c"), ("--key", "--cell")),
    ],
)
def test_option_of_show_without_effect_is_rejected(cli, tmp_path, options, named):
    ended = cli("show", str(tmp_path), *options)
    assert ended.code == 2
    assert all(option in ended.err for option in named)


def test_help_of_trials_shows_the_default_folder(cli):
    assert "runs/SUITE-POLICY" in cli("trials", "--help").out


def test_system_error_names_the_path_and_a_command(cli, tmp_path):
    path = tmp_path / "missing" / "table.csv"
    ended = cli("table", "nora15/table2", "--format", "csv", "--out", path)
    assert ended.code == 2
    assert f"{path}: " in ended.err and f"ls -ld {path.parent}" in ended.err and "Errno" not in ended.err


@pytest.mark.parametrize(
    ("smallest", "text"),
    [
        ({"Goal": 4.21, "Long": 3.0}, "differences from Goal 4.2, Long 3.0 points, at"),
        ({"Goal": None}, "too few episodes for any difference in Goal, at"),
        ({"Goal": None, "Long": 3.0}, "differences from Long 3.0 points; too few episodes for any difference in Goal, at"),
        ({}, "too few episodes for any difference, at"),
    ],
)
def test_detectable_differences_without_a_number_are_in_words(smallest, text):
    assert _detectable(smallest).startswith(text)


def test_debug_shows_the_traceback(cli, verb, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_DEBUG", "1")
    verb(raising(MissingRequirementError("no disk")))
    assert "Traceback" in cli("list").err


def test_unexpected_error_shows_its_traceback_and_asks_for_a_report(cli, verb):
    verb(raising(ZeroDivisionError("oh")))
    ended = cli("list")
    assert ended.code == BUG
    assert "ZeroDivisionError: oh" in ended.err
    assert "please report it" in ended.err


def test_ctrl_c_ends_with_130(cli, verb):
    verb(raising(KeyboardInterrupt()))
    assert cli("list").code == 130


def test_closed_pipe_is_not_an_error():
    code = "from nora_bench.harness.cli import main; main(['list', 'tasks'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_version_is_printed(cli):
    assert cli("--version").out.startswith("nora-bench ")
