import errno
import io
import json
import sys

import pytest
from nora_bench.envs.base import AssetPack
from nora_bench.envs.errors import MissingRequirementError, SuiteError
from nora_bench.harness import cli as command_line
from nora_bench.harness.diagnostics import checks, disk, doctor, simpler
from nora_bench.harness.diagnostics.checks import CheckResult, Fix, Status
from nora_bench.harness.rendering import gl, vulkan

PACK = AssetPack("official", "/assets", "0123456789abcdef")
BOUNDED = {"setuptools": "80", "gymnasium": "1.4", "sapien": "3.0.3"}
INSTALLED = {"mujoco": "3.2.3", "robosuite": "1.4.0", "hf-libero": "0.1.4", "bddl": "1.0.1", **BOUNDED}


class Suite:
    """The parts of a suite that the doctor uses."""

    cost = {"worker_gib": 1.0}  # noqa: RUF012

    def __init__(self, packs=("official",)):
        self.packs = packs

    def resolve_assets(self, expected):
        if expected not in self.packs:
            raise SuiteError(f"no {expected} assets here")
        return PACK


@pytest.fixture
def machine(monkeypatch):
    """A machine without problems, and a function that changes it."""

    def change(
        *,
        versions=INSTALLED,
        egl="",
        osmesa="",
        vulkan_problem="",
        packs=("official",),
        simpler_packs=("official",),
        hub="",
        disk_gib=50.0,
        memory=64.0,
        gpus=(),
    ):
        def find_vulkan():
            if vulkan_problem:
                raise MissingRequirementError(
                    f"no Vulkan driver can render on this machine ({vulkan_problem}). Type: nora-bench doctor --fix"
                )
            return gl.Backend("vulkan", renderer="SwiftShader Device")

        problems = {"egl": egl, "osmesa": osmesa}
        monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, "99" if versions else ""))
        monkeypatch.setattr(gl, "try_backend", lambda name: gl.Backend(name, renderer="llvmpipe", problem=problems[name]))
        monkeypatch.setattr(vulkan, "find_vulkan", find_vulkan)
        monkeypatch.setattr(doctor, "examine_sapien2", lambda: checks.ok("sapien2", "works"))
        monkeypatch.setattr(doctor.suites, "get", lambda name: Suite(simpler_packs if name.startswith("simpler") else packs))
        monkeypatch.setattr(doctor, "_hub", lambda: hub)
        monkeypatch.setattr(disk, "free_disk_gib", lambda folder: disk_gib)
        monkeypatch.setattr(doctor, "free_memory_gib", lambda: memory)
        monkeypatch.setattr(doctor, "libero_imports", lambda: doctor.ok("hf-libero imports", "yes"))
        monkeypatch.setattr(doctor.provenance, "usable_cores", lambda: 4)
        monkeypatch.setattr(doctor.provenance, "hardware", lambda: {"gpus": list(gpus)})

    change()
    return change


def check(tmp_path):
    return {result.name: result for result in doctor.examine(tmp_path)}


def test_machine_without_problems_passes_every_check(machine, tmp_path):
    assert {result.status for result in check(tmp_path).values()} == {Status.ok}


PROBLEMS = {
    "mujoco": {"versions": {**INSTALLED, "mujoco": "3.4.0"}},
    "hf-libero": {"versions": {**INSTALLED, "robosuite": "1.5.0"}},
    "extra [libero]": {"versions": {**INSTALLED, "numba": ""}},
    "gl osmesa": {"egl": "no libEGL", "osmesa": "no libOSMesa"},
    "assets": {"packs": ()},
    "extra [simpler]": {"versions": {**INSTALLED, "ruckig": ""}},
    "simpler assets": {"simpler_packs": ()},
}
NOTES = {
    "gl egl": {"egl": "no libEGL"},
    "gpu": {"gpus": ["H100"]},
    "assets": {"packs": ("standin",)},
    "extra [simpler]": {"versions": {**INSTALLED, "sapien": ""}},
    "vulkan": {"vulkan_problem": "no driver"},
    "simpler assets": {"simpler_packs": ("standin",)},
    "hub": {"hub": "no answer"},
    "memory": {"memory": 4.0},
    "disk for runs": {"disk_gib": 0.5},
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problem_has_a_reason_and_a_command(machine, tmp_path, name):
    machine(**PROBLEMS[name])
    result = check(tmp_path)[name]
    assert result.status is Status.problem
    assert result.reason
    assert result.fix.command


@pytest.mark.parametrize("name", NOTES)
def test_note_has_a_reason_and_a_command(machine, tmp_path, name):
    machine(**NOTES[name])
    result = check(tmp_path)[name]
    assert result.status is Status.note
    assert result.reason
    assert result.fix.command


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.2.3", "ok"), ("3.2.7", "ok"), ("3.3.3", "problem"), ("3.4.0", "problem"), ("3.8.1", "problem"), ("", "problem")],
)
def test_mujoco_versions_with_other_physics_are_problems(machine, version, status):
    machine(versions={**INSTALLED, "mujoco": version})
    assert doctor.mujoco().status == status


def test_gl_is_not_checked_without_mujoco(machine, tmp_path):
    machine(versions={})
    assert check(tmp_path)["gl"].observed == "not checked: MuJoCo is missing"


def refuse_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_disk_without_locks_is_a_note(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(disk.fcntl, "flock", refuse_locks)
    result = check(tmp_path)["disk for runs"]
    assert (result.status, bool(result.reason), bool(result.fix.command)) == (Status.note, True, True)


@pytest.mark.parametrize(("whole", "status"), [(True, Status.note), (False, Status.problem)])
def test_read_only_cache_is_enough_where_complete(machine, tmp_path, monkeypatch, whole, status):
    monkeypatch.setattr(disk, "write_problem", lambda folder: f"{folder} cannot be written: Permission denied")
    monkeypatch.setattr(disk, "complete", lambda home: whole)
    result = check(tmp_path)["disk for caches"]
    assert result.status is status
    assert "NORA_BENCH_HOME" in result.fix.command


def test_read_only_temporary_folder_is_a_problem(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "write_problem", lambda folder: f"{folder} cannot be written: Read-only file system")
    result = check(tmp_path)["temporary files"]
    assert (result.status, result.fix.command) == (Status.problem, "export TMPDIR=FOLDER")


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_marks_are_replaced_on_a_terminal_without_unicode(machine, monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as caught:
        command_line.main(["doctor"])
    output = stream.buffer.getvalue().decode(encoding)
    assert int(caught.value.code or 0) == 0
    assert "! terminal" in output
    assert "?" not in {line[:1] for line in output.splitlines()}
    assert "PYTHONIOENCODING=utf-8" in output


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("ModuleNotFoundError: No module named 'robosuite'", "--no-deps"),
        ("PermissionError: [Errno 13] Permission denied: '/somewhere'", "import robosuite"),
    ],
)
def test_import_fix_installs_packages_only_where_one_is_missing(problem, expected):
    assert expected in doctor._import_fix(problem).command


def test_read_only_run_folder_is_a_problem(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "write_problem", lambda folder: f"{folder} cannot be written: Read-only file system")
    assert check(tmp_path)["disk for runs"].status is Status.problem


def test_exit_code_is_3_where_libero_cannot_run(machine, cli):
    assert cli("doctor").code == 0
    machine(versions={})
    assert cli("doctor").code == 3


def test_json_contains_every_check_with_its_fix(machine, cli):
    machine(versions={})
    report = json.loads(cli("doctor", "--json").out)
    assert report["status"] == "problem"
    assert "mujoco==3.2" in next(check["fix"] for check in report["checks"] if check["name"] == "mujoco")


def test_fix_runs_the_commands_and_checks_again(machine, cli, monkeypatch):
    machine(versions={})
    ran = []

    def run(command):
        ran.append(command)
        machine()
        return ""

    monkeypatch.setattr(checks, "run", run)
    assert cli("doctor", "--fix").code == 0
    assert ran[0][-1].startswith("mujoco==")
    assert "hf-libero==0.1.4" in ran[-1]


def test_fix_runs_nothing_twice(machine, cli, monkeypatch):
    machine(versions={})
    ran = []
    monkeypatch.setattr(checks, "run", lambda command: ran.append(tuple(command)) or "exit code 1")
    ended = cli("doctor", "--fix")
    assert ended.code == 3
    assert "the command failed (exit code 1)" in ended.err
    assert len(ran) == len(set(ran)) > 0


@pytest.mark.parametrize("asked", [True, False])
def test_official_assets_are_fetched_only_where_asked_for(machine, cli, monkeypatch, asked):
    machine(packs=("standin",))
    ran = []

    def run(command):
        ran.append(command)
        machine()
        return ""

    monkeypatch.setattr(checks, "run", run)
    ended = cli("doctor", "--fix", *(["--assets"] if asked else []))
    assert ended.code == 0
    assert [command[-2:] for command in ran] == ([["assets", "fetch"]] if asked else [])
    assert ("nora-bench assets fetch" in ended.out) is not asked  # offered where it was not run


def test_assets_without_fix_are_rejected(machine, cli):
    assert cli("doctor", "--assets").code == 2


def test_command_line_of_this_installation_can_be_started():
    assert checks.run([*checks.NORA_BENCH, "assets", "fetch", "--help"]) == ""


def test_system_packages_are_installed_together():
    first, second = checks.commands([Fix(apt=("libegl1",)), Fix(apt=("libosmesa6", "libegl1"))])
    assert first == ["apt-get", "update"]
    assert second[-2:] == ["libegl1", "libosmesa6"]


def test_the_same_pip_call_is_made_once():
    assert len(checks.commands([Fix(pip=(("a",),)), Fix(pip=(("a",),))])) == 1


@pytest.mark.parametrize(
    ("fix", "root", "reason"),
    [
        (Fix(pip=(("a",),)), False, ""),
        (Fix(apt=("a",)), True, ""),
        (Fix(apt=("a",)), False, "system packages need root"),
        (Fix(manual="think"), True, "only the user can decide"),
    ],
)
def test_only_safe_fixes_are_run(monkeypatch, fix, root, reason):
    monkeypatch.setattr(checks.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(checks.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert checks.reason_not_run(fix) == reason


def test_another_interpreter_is_made_only_where_it_is_wanted():
    fix = Fix(interpreter=(("python3.11", "-m", "venv", "here"),))
    assert (checks.reason_not_run(fix), checks.commands([fix])) == ("only the user can decide", [])
    assert checks.reason_not_run(fix, simpler=True) == ""
    assert checks.commands([fix], simpler=True) == [["python3.11", "-m", "venv", "here"]]
    assert fix.command == "nora-bench doctor --fix --simpler"


def test_simpler_without_fix_is_bad_input(cli):
    assert cli("doctor", "--simpler").code == 2


def test_fix_for_another_user_than_root_uses_sudo(monkeypatch):
    monkeypatch.setattr(checks.os, "geteuid", lambda: 1000)
    assert Fix(apt=("libosmesa6",)).command.startswith("sudo apt-get update && sudo apt-get install")


def test_running_reports_how_a_command_failed():
    assert checks.run([sys.executable, "-c", "raise SystemExit(7)"]) == "exit code 7"
    assert checks.run([sys.executable, "-c", ""]) == ""
    assert "No such file" in checks.run(["/no/such/program"])


def test_worst_status_decides():
    results = [CheckResult("a", Status.note, ""), CheckResult("b", Status.problem, ""), CheckResult("c", Status.ok, "")]
    assert doctor.worst(results) is Status.problem


@pytest.mark.parametrize(("home", "says"), [("/proc/none", "NORA_BENCH_HOME"), ("", "-X importtime")])
def test_import_check_that_cannot_run_names_a_command(tmp_path, monkeypatch, home, says):
    monkeypatch.setenv("NORA_BENCH_HOME", home or str(tmp_path))
    monkeypatch.setattr(doctor, "IMPORT_S", 0.01)
    result = doctor.libero_imports()
    assert result.status is Status.problem
    assert says in result.fix.command


@pytest.mark.libero
def test_libero_imports_in_a_process_of_its_own(tmp_path, monkeypatch):
    pytest.importorskip("libero", reason="pip install 'nora-bench[libero]', then nora-bench doctor --fix")
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    assert doctor.libero_imports().status is Status.ok


@pytest.mark.parametrize(("release", "package"), [("ID=debian\n", "chromium-common"), ("ID=ubuntu\n", "mesa-vulkan-drivers")])
def test_missing_vulkan_driver_is_fixed_by_the_systems_package(machine, tmp_path, monkeypatch, release, package):
    (tmp_path / "os-release").write_text(release)
    monkeypatch.setattr(simpler, "OS_RELEASE", tmp_path / "os-release")
    machine(vulkan_problem="no driver")
    assert check(tmp_path)["vulkan"].fix.apt == (package,)
