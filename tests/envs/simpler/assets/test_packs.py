"""SimplerEnv's asset packs: which is taken, what it must hold, how upstream's files arrive."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.manifest import damaged_files
from nora_bench.envs.packs import fingerprint
from nora_bench.envs.simpler.assets import fetch, packs
from nora_bench.envs.simpler.assets.required_files import DATA, MODELS, missing_files, models, needed
from nora_bench.envs.simpler.assets.standin import STANDIN

PHOTOGRAPH = f"{DATA}/real_inpainting/open_drawer_a0.png"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any pack."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(packs.VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def pack(machine, simpler_standin):
    """A whole pack in a folder of its own."""
    return shutil.copytree(simpler_standin, machine / "pack")


@pytest.fixture
def cached(machine, simpler_standin, monkeypatch):
    """Where stand-ins are kept, which need not be made again."""
    made = replace(STANDIN, generate=lambda folder: shutil.copytree(simpler_standin, folder))
    monkeypatch.setattr(packs, "STANDIN", made)
    return made.folder(packs.cache_folder())


def test_auto_without_official_files_is_stand_ins(cached):
    found = packs.resolve("auto")
    assert (found.name, found.path) == ("standin", str(cached))


def test_folder_from_the_variable_is_the_official_pack(pack, monkeypatch):
    monkeypatch.setenv(packs.VARIABLE, str(pack))
    assert packs.resolve("auto").name == packs.resolve("official").name == "official"


@pytest.mark.parametrize("inner", ["", "ManiSkill2_real2sim"])
def test_pack_may_be_named_by_its_inner_folder(pack, inner):
    found = packs.resolve(str(pack / inner))
    assert (found.name, found.path) == ("pack", str(pack))


@pytest.mark.parametrize("wanted", ["auto", "official"])
def test_incomplete_pack_from_the_variable_is_rejected(pack, cached, monkeypatch, wanted):
    monkeypatch.setenv(packs.VARIABLE, str(pack))
    (pack / PHOTOGRAPH).unlink()
    with pytest.raises(SuiteError, match=f"{packs.VARIABLE}.*{PHOTOGRAPH}"):
        packs.resolve(wanted)
    assert packs.resolve("standin").name == "standin"


def test_incomplete_pack_is_not_used(pack, cached):
    (pack / PHOTOGRAPH).unlink()
    with pytest.raises(SuiteError, match=r"lacks 1 files.*open_drawer_a0\.png"):
        packs.resolve(str(pack))


def test_missing_official_files_error_names_the_command(machine):
    with pytest.raises(SuiteError, match=f"Type: {packs.FETCH}"):
        packs.resolve("official")


def test_referenced_files_are_required(pack):
    assert f"{MODELS}/stone_tabletop.glb" in needed(pack)
    (pack / MODELS / "stone_tabletop.glb").unlink()
    assert missing_files(pack) == [f"{MODELS}/stone_tabletop.glb"]


def test_files_cached_by_the_simulator_do_not_change_the_fingerprint(pack):
    before = fingerprint(pack)
    (pack / DATA / "custom/stage.glb.nonconvex.stl").write_bytes(b"cooked")
    assert fingerprint(pack) == before


@pytest.mark.official
def test_official_pack_contains_all_files_of_the_grid(simpler_official):
    assert missing_files(simpler_official) == []
    assert len(models()) == 18


# --- upstream's repository ----------------------------------------------------------------------------------------

FILES = {"data/a b.txt": b"one", "data/models/c.bin": bytes(range(256)), "LICENSE": b"free"}
COMMIT = "0123456789abcdef"


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def upstream(tmp_path, monkeypatch):
    """Upstream's repository as a folder, with three files; its address."""
    folder = tmp_path / "web" / COMMIT
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    listed = {name: blob_id(content) for name, content in FILES.items()}
    monkeypatch.setattr(fetch, "upstream", lambda: ("https://example.org/repository", COMMIT, listed))
    return folder.parent


def get(upstream, home):
    return fetch.fetch(home, endpoint=upstream.as_uri(), say=lambda line: None)


def test_all_files_arrive_and_the_manifest_names_the_commit(upstream, tmp_path):
    home = tmp_path / "simpler" / "official"
    assets = get(upstream, home)
    assert {name: (assets / "ManiSkill2_real2sim" / name).read_bytes() for name in FILES} == FILES
    assert damaged_files(home) == []
    assert COMMIT in (home / "manifest.json").read_text()


def test_file_that_differs_from_upstream_is_rejected(upstream, tmp_path):
    (upstream / COMMIT / "LICENSE").write_bytes(b"other")
    with pytest.raises(SuiteError, match="LICENSE differs"):
        get(upstream, tmp_path / "official")
    assert not (tmp_path / "official").exists()


def test_downloaded_file_is_not_fetched_again(upstream, tmp_path):
    (upstream / COMMIT / "LICENSE").rename(tmp_path / "LICENSE")
    with pytest.raises(SuiteError, match="what arrived is kept"):
        get(upstream, tmp_path / "official")
    (tmp_path / "LICENSE").rename(upstream / COMMIT / "LICENSE")
    for name in FILES:
        if name != "LICENSE":
            (upstream / COMMIT / name).unlink()
    assert (get(upstream, tmp_path / "official") / "ManiSkill2_real2sim" / "data/a b.txt").read_bytes() == b"one"


def test_upstream_list_contains_all_files_of_the_grid():
    _, commit, files = fetch.upstream()
    assert commit == "ef7a4d4fdf4b69f2c2154db5b15b9ac8dfe10682"
    held = {f"ManiSkill2_real2sim/{name}" for name in files}
    looks = {name for model in models() for name in held if name.startswith(f"{MODELS}/{model}/textured.")}
    assert len(looks) == len(models())
    known = {name for name in needed(Path("nowhere")) if "/textured." not in name}
    assert known - held == set()


@pytest.mark.official
def test_upstream_list_matches_the_official_pack(simpler_official):
    _, _, files = fetch.upstream()
    there = {name: path for name in files if (path := simpler_official / "ManiSkill2_real2sim" / name).is_file()}
    same = [name for name, path in there.items() if blob_id(path.read_bytes()) == files[name]]
    assert len(same) > 200
