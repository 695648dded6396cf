import errno
import io
import json
import sys

import pytest
from nora_bench.envs.base import AssetPack
from nora_bench.envs.errors import SuiteError
from nora_bench.harness import cli as command_line
from nora_bench.harness.diagnostics import checks, disk, doctor, simpler
from nora_bench.harness.diagnostics.checks import Cure
from nora_bench.harness.diagnostics.doctor import Finding, Status
from nora_bench.harness.errors import MissingRequirementError
from nora_bench.harness.rendering import gl, vulkan

PACK = AssetPack("official", "/assets", "0123456789abcdef")
BOUNDED = {"setuptools": "80", "gymnasium": "1.4", "sapien": "3.0.3"}
INSTALLED = {"mujoco": "3.2.3", "robosuite": "1.4.0", "hf-libero": "0.1.4", "bddl": "1.0.1", **BOUNDED}


class Suite:
    """As much of a suite as the doctor looks at."""

    cost = {"worker_gib": 1.0}  # noqa: RUF012

    def __init__(self, packs=("official",)):
        self.packs = packs

    def resolve_assets(self, wanted):
        if wanted not in self.packs:
            raise SuiteError(f"no {wanted} assets here")
        return PACK


@pytest.fixture
def machine(monkeypatch):
    """A healthy machine, and a function that changes it."""

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
                    f"no Vulkan driver can draw on this machine ({vulkan_problem}). Type: nora-bench doctor --fix"
                )
            return gl.Backend("vulkan", renderer="SwiftShader Device")

        problems = {"egl": egl, "osmesa": osmesa}
        monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, "99" if versions else ""))
        monkeypatch.setattr(gl, "try_backend", lambda name: gl.Backend(name, renderer="llvmpipe", problem=problems[name]))
        monkeypatch.setattr(vulkan, "find_vulkan", find_vulkan)
        monkeypatch.setattr(doctor.suites, "get", lambda name: Suite(packs))
        monkeypatch.setattr(simpler.packs, "resolve", Suite(simpler_packs).resolve_assets)
        monkeypatch.setattr(doctor, "_hub", lambda: hub)
        monkeypatch.setattr(disk, "free_disk_gib", lambda folder: disk_gib)
        monkeypatch.setattr(doctor, "free_memory_gib", lambda: memory)
        monkeypatch.setattr(doctor, "libero_imports", lambda: doctor.ok("hf-libero imports", "yes"))
        monkeypatch.setattr(doctor.provenance, "usable_cores", lambda: 4)
        monkeypatch.setattr(doctor.provenance, "hardware", lambda: {"gpus": list(gpus)})

    change()
    return change


def look(tmp_path):
    return {finding.name: finding for finding in doctor.examine(tmp_path)}


def test_a_healthy_machine_has_no_complaints(machine, tmp_path):
    assert {finding.status for finding in look(tmp_path).values()} == {Status.ok}


ILLS = {
    "mujoco": {"versions": {**INSTALLED, "mujoco": "3.4.0"}},
    "hf-libero": {"versions": {**INSTALLED, "robosuite": "1.5.0"}},
    "extra [libero]": {"versions": {**INSTALLED, "numba": ""}},
    "gl osmesa": {"egl": "no libEGL", "osmesa": "no libOSMesa"},
    "assets": {"packs": ()},
    "extra [simpler]": {"versions": {**INSTALLED, "ruckig": ""}},
    "simpler assets": {"simpler_packs": ()},
}
WEAKNESSES = {
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


@pytest.mark.parametrize("name", ILLS)
def test_what_prevents_playing_is_a_problem_with_a_reason_and_a_command(machine, tmp_path, name):
    machine(**ILLS[name])
    finding = look(tmp_path)[name]
    assert finding.status is Status.problem
    assert finding.why
    assert finding.cure.command


@pytest.mark.parametrize("name", WEAKNESSES)
def test_what_only_weakens_is_a_note_with_a_reason_and_a_command(machine, tmp_path, name):
    machine(**WEAKNESSES[name])
    finding = look(tmp_path)[name]
    assert finding.status is Status.note
    assert finding.why
    assert finding.cure.command


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.2.3", "ok"), ("3.2.7", "ok"), ("3.3.3", "problem"), ("3.4.0", "problem"), ("3.8.1", "problem"), ("", "problem")],
)
def test_only_mujoco_versions_with_the_published_physics_pass(machine, version, status):
    machine(versions={**INSTALLED, "mujoco": version})
    assert doctor.mujoco().status == status


def test_gl_is_not_tried_without_mujoco(machine, tmp_path):
    machine(versions={})
    assert look(tmp_path)["gl"].found == "not tried: MuJoCo is missing"


def refuse_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_disk_without_locks_is_noted(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(disk.fcntl, "flock", refuse_locks)
    finding = look(tmp_path)["disk for runs"]
    assert (finding.status, bool(finding.why), bool(finding.cure.command)) == (Status.note, True, True)


@pytest.mark.parametrize(("whole", "status"), [(True, Status.note), (False, Status.problem)])
def test_a_cache_that_cannot_be_written_will_do_where_it_is_whole(machine, tmp_path, monkeypatch, whole, status):
    monkeypatch.setattr(disk, "refusal", lambda folder: f"{folder} cannot be written: Permission denied")
    monkeypatch.setattr(disk, "complete", lambda home: whole)
    finding = look(tmp_path)["disk for caches"]
    assert finding.status is status
    assert "NORA_BENCH_HOME" in finding.cure.command


def test_temporary_files_that_cannot_be_written_are_a_problem(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "refusal", lambda folder: f"{folder} cannot be written: Read-only file system")
    finding = look(tmp_path)["temporary files"]
    assert (finding.status, finding.cure.command) == (Status.problem, "export TMPDIR=FOLDER")


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_the_doctor_can_be_read_on_a_terminal_without_its_marks(machine, monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as caught:
        command_line.main(["doctor"])
    told = stream.buffer.getvalue().decode(encoding)
    assert int(caught.value.code or 0) == 0
    assert "! terminal" in told
    assert "?" not in {line[:1] for line in told.splitlines()}
    assert "PYTHONIOENCODING=utf-8" in told


@pytest.mark.parametrize(
    ("problem", "wanted"),
    [
        ("ModuleNotFoundError: No module named 'robosuite'", "--no-deps"),
        ("PermissionError: [Errno 13] Permission denied: '/somewhere'", "import robosuite"),
    ],
)
def test_packages_are_installed_anew_only_where_one_is_missing(problem, wanted):
    assert wanted in doctor._import_cure(problem).command


def test_a_folder_that_cannot_be_written_to_is_a_problem(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "refusal", lambda folder: f"{folder} cannot be written: Read-only file system")
    assert look(tmp_path)["disk for runs"].status is Status.problem


def test_the_exit_code_tells_whether_libero_can_be_played(machine, cli):
    assert cli("doctor").code == 0
    machine(versions={})
    assert cli("doctor").code == 3


def test_json_holds_every_finding_with_its_command(machine, cli):
    machine(versions={})
    told = json.loads(cli("doctor", "--json").out)
    assert told["status"] == "problem"
    assert "mujoco==3.2" in next(f["cure"] for f in told["findings"] if f["name"] == "mujoco")


def test_fix_runs_the_commands_and_looks_again(machine, cli, monkeypatch):
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
    assert "that did not work (exit code 1)" in ended.err
    assert len(ran) == len(set(ran)) > 0


def test_system_packages_are_installed_together():
    first, second = checks.commands([Cure(apt=("libegl1",)), Cure(apt=("libosmesa6", "libegl1"))])
    assert first == ["apt-get", "update"]
    assert second[-2:] == ["libegl1", "libosmesa6"]


def test_the_same_pip_call_is_made_once():
    assert len(checks.commands([Cure(pip=(("a",),)), Cure(pip=(("a",),))])) == 1


@pytest.mark.parametrize(
    ("cure", "root", "refused"),
    [
        (Cure(pip=(("a",),)), False, ""),
        (Cure(apt=("a",)), True, ""),
        (Cure(apt=("a",)), False, "system packages need root"),
        (Cure(hand="think"), True, "it is for you to decide"),
    ],
)
def test_only_safe_cures_are_run(monkeypatch, cure, root, refused):
    monkeypatch.setattr(checks.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(checks.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert checks.refusal(cure) == refused


def test_somebody_who_is_not_root_is_told_to_use_sudo(monkeypatch):
    monkeypatch.setattr(checks.os, "geteuid", lambda: 1000)
    assert Cure(apt=("libosmesa6",)).command.startswith("sudo apt-get update && sudo apt-get install")


def test_running_reports_how_a_command_failed():
    assert checks.run([sys.executable, "-c", "raise SystemExit(7)"]) == "exit code 7"
    assert checks.run([sys.executable, "-c", ""]) == ""
    assert "No such file" in checks.run(["/no/such/program"])


def test_the_worst_finding_decides():
    findings = [Finding("a", Status.note, ""), Finding("b", Status.problem, ""), Finding("c", Status.ok, "")]
    assert doctor.worst(findings) is Status.problem


@pytest.mark.parametrize(("home", "says"), [("/proc/none", "NORA_BENCH_HOME"), ("", "-X importtime")])
def test_an_import_that_cannot_be_tried_says_what_to_do(tmp_path, monkeypatch, home, says):
    monkeypatch.setenv("NORA_BENCH_HOME", home or str(tmp_path))
    monkeypatch.setattr(doctor, "IMPORT_S", 0.01)
    finding = doctor.libero_imports()
    assert finding.status is Status.problem
    assert says in finding.cure.command


@pytest.mark.libero
def test_libero_imports_in_a_process_of_its_own(tmp_path, monkeypatch):
    pytest.importorskip("libero", reason="pip install 'nora-bench[libero]', then nora-bench doctor --fix")
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    assert doctor.libero_imports().status is Status.ok


@pytest.mark.parametrize(("release", "package"), [("ID=debian\n", "chromium-common"), ("ID=ubuntu\n", "mesa-vulkan-drivers")])
def test_a_missing_vulkan_driver_is_mended_by_this_systems_package(machine, tmp_path, monkeypatch, release, package):
    (tmp_path / "os-release").write_text(release)
    monkeypatch.setattr(simpler, "OS_RELEASE", tmp_path / "os-release")
    machine(vulkan_problem="no driver")
    assert look(tmp_path)["vulkan"].cure.apt == (package,)
