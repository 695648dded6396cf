"""`nora-bench assets`, through the command line."""

import json
import shutil

import numpy as np
import pytest
from nora_bench.envs.base import AssetPack, EnvObservation
from nora_bench.envs.libero.assets import packs
from nora_bench.envs.libero.assets.standin import STANDIN
from nora_bench.envs.manifest import write_manifest
from nora_bench.harness.errors import ExitCode
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


def test_list_says_where_packs_are_looked_for(cli, machine):
    rows = json.loads(cli("assets", "list", "--json").out)
    assert {row["state"] for row in rows} == {"not there"}
    assert [row["family"] for row in rows if row["name"] == "standin"] == ["libero", "simpler"]
    assert any(row["path"].startswith(str(machine / "bench")) for row in rows if row["name"] == "official")


def test_list_shows_a_packs_fingerprint(cli, pack, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_LIBERO_ASSETS", str(pack))
    first = json.loads(cli("assets", "list", "--json").out)[0]
    assert (first["state"], first["path"]) == ("complete", str(pack))
    assert f"{first['fingerprint']}  complete, {first['files']} files" in cli("assets", "list").out


def test_verify_is_content_with_a_whole_pack(cli, pack):
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
def test_verify_finds_what_is_wrong(cli, pack, harm, said):
    harm(pack / MESH)
    shown = cli("assets", "verify", pack)
    assert shown.code == ExitCode.ISSUES_FOUND
    assert said in shown.out


def test_verify_says_when_contents_cannot_be_checked(cli, pack):
    (pack.parent / "manifest.json").unlink()
    assert "no manifest: contents unchecked" in cli("assets", "verify", pack).out


def test_verify_of_a_folder_that_is_not_there_says_what_to_type(cli, machine):
    shown = cli("assets", "verify", machine / "nothing")
    assert shown.code == ExitCode.MISSING_REQUIREMENT
    assert "nora-bench assets list" in shown.err


def test_verify_without_packs_says_how_to_get_one(cli, machine):
    assert "nora-bench assets fetch" in cli("assets", "verify").out


def test_a_pack_whose_download_was_interrupted_is_not_official(pack, machine):
    from nora_bench.envs import suites

    official = packs.cache_folder() / "official"
    official.parent.mkdir(parents=True)
    pack.parent.rename(official)
    suite = suites.get("libero_goal")
    assert suite.resolve_assets("auto").name == "official"
    (official / "assets" / MESH).unlink()
    assert suite.resolve_assets("auto").name == "standin"


def test_fetch_without_a_hub_ends_in_words(cli, machine, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", lambda endpoint: (_ for _ in ()).throw(ConnectionError("no route")))
    shown = cli("assets", "fetch")
    assert shown.code == ExitCode.MISSING_REQUIREMENT
    assert "the Hugging Face hub does not answer (no route)" in shown.err


# --- the contact sheet --------------------------------------------------------------------------------------------


class PaintedWorld:
    """Shows one grey per pack, darker for later tasks; the left edge of every upright picture is white."""

    def __init__(self, options):
        self.grey = {"light": 200, "dark": 100}[options.assets]

    def reset(self, spec, protocol, observation_spec):
        assert observation_spec.image_size
        picture = np.full((observation_spec.image_size, observation_spec.image_size, 3), self.grey - 5 * spec.task_id, np.uint8)
        picture[:, -40:] = 255  # turned by 180 degrees from OpenGL's rows: mirrored
        self.images = dict.fromkeys(observation_spec.cameras, picture)

    def observation(self):
        return EnvObservation(images=self.images)

    def close(self):
        pass


def test_a_sheet_shows_every_task_with_every_pack_upright(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    from nora_bench.envs import suites

    suite = suites.get("libero_goal")
    monkeypatch.setattr(type(suite), "make_env", lambda self, options: PaintedWorld(options))
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


def test_a_sheet_needs_a_picture_to_write(cli, generated, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_LIBERO_ASSETS", str(generated))
    shown = cli("assets", "contact-sheet", "--out", "sheet.pdf", "--pack", "official")
    assert shown.code == ExitCode.BAD_INPUT
    assert "name a .jpg or .png" in shown.err


def test_a_pack_of_anybodys_can_be_given_a_manifest(machine, pack):
    (pack / "notes.txt").write_text("mine")
    write_manifest(pack.parent, source="by hand")
    assert packs.verify(pack) == []
