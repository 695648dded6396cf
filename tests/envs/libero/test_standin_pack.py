"""The generated pack is whole, the same on every machine, and made once however many want it."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from nora_bench.envs.libero.assets.required_files import LIBERO_90_XML_FILES, missing_files, needed
from nora_bench.envs.libero.assets.standin import STANDIN, pack
from nora_bench.envs.libero.assets.standin.model import model_files, physics
from nora_bench.envs.manifest import absent_files
from nora_bench.envs.packs import fingerprint

CONTENT = "d16bea20fd59728c"
"""Fingerprint of the pack of this version. Where a change of its images changes it: does VERSION need a step, too?"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("standin")
    pack.generate(folder)
    return folder


def test_pack_contains_exactly_the_files_that_tasks_load(made):
    assert missing_files(made) == []
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} == needed(made)


def test_every_class_and_scene_has_physics_and_appearance():
    assert {model["file"] for model in physics()["models"].values()} == set(LIBERO_90_XML_FILES)
    assert pack.MAKERS.keys() == physics()["models"].keys()


def test_pack_of_libero_90_adds_its_objects_and_changes_nothing_else(made):
    files = {name: (made / name).read_bytes() for name in needed(made)}
    more = pack.pack_files(libero_90=True)
    assert {name: more.pop(name) for name in files} == files
    assert {name for name in more if name.endswith(".xml")} == set(LIBERO_90_XML_FILES) - set(files)


def test_pack_is_the_same_bytes_on_every_machine(made):
    assert fingerprint(made) == CONTENT


def test_another_process_generates_the_same_bytes(made, tmp_path):
    made_by = "from pathlib import Path; from nora_bench.envs.libero.assets.standin.pack import generate"
    code = f"{made_by}; generate(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "7"}, cwd=tmp_path)
    assert fingerprint(tmp_path) == fingerprint(made)


def test_numbers_keep_the_spelling_of_their_source():
    files = model_files("butter", pack.MAKERS["butter"]())
    geoms = ET.fromstring(files["stable_hope_objects/butter/butter.xml"]).iter("geom")
    box = next(geom for geom in geoms if geom.get("group") == "0")
    assert ["box", "hard", box.get("pos"), box.get("quat"), box.get("size")] in physics()["models"]["butter"]["body"][2]


def test_visual_part_without_appearance_is_rejected():
    with pytest.raises(KeyError, match="label"):
        appearance = pack.MAKERS["wine_bottle"]()
        model_files("wine_bottle", type(appearance)({name: part for name, part in appearance.parts.items() if name != "label"}))


# --- the cache ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """A generator of two small files that counts its runs."""
    runs = []

    def generate(folder):
        runs.append(folder)
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            (folder / name).write_text(name)

    monkeypatch.setattr(pack, "generate", generate)
    return runs


def test_pack_is_generated_once(tmp_path, tiny):
    assert STANDIN.ensure(tmp_path) == STANDIN.ensure(tmp_path) == STANDIN.folder(tmp_path)
    assert len(tiny) == 1


def test_folder_names_the_version_and_the_generator(tmp_path):
    assert STANDIN.folder(tmp_path).parent.name == f"standin-v{STANDIN.version}-{STANDIN.fingerprint()}"


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("longer")], ids=["gone", "cut"])
def test_pack_with_a_missing_file_is_generated_again(tmp_path, tiny, harm):
    harm(STANDIN.ensure(tmp_path) / "b")
    assert (STANDIN.ensure(tmp_path) / "b").read_text() == "b"
    assert len(tiny) == 2


def test_interrupted_generation_leaves_no_pack(tmp_path, tiny, monkeypatch):
    def stopped(folder):
        folder.mkdir(parents=True)
        (folder / "a").write_text("a")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pack, "generate", stopped)
        with pytest.raises(KeyboardInterrupt):
            STANDIN.ensure(tmp_path)
    assert not STANDIN.folder(tmp_path).exists()
    assert absent_files(STANDIN.ensure(tmp_path).parent) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".standin.lock", STANDIN.folder(tmp_path).parent.name]


def test_concurrent_processes_share_one_pack(tmp_path):
    count = tmp_path / "runs"
    code = f"""
import time
from pathlib import Path
from nora_bench.envs.libero.assets.standin import STANDIN
from nora_bench.envs.libero.assets.standin import pack
def slow(folder):
    with open({str(count)!r}, "a") as file:
        file.write("x")
    time.sleep(0.5)
    folder.mkdir(parents=True)
    (folder / "a").write_text("a")
pack.generate = slow
assert (STANDIN.ensure(Path({str(tmp_path / "cache")!r})) / "a").read_text() == "a"
"""
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert count.read_text() == "x"


def test_fingerprint_covers_code_and_numbers(tmp_path):
    for source in ("pack.py", "physics.json"):
        (tmp_path / source).write_text("1")
    moved = replace(STANDIN, code=tmp_path)
    before = moved.fingerprint()
    (tmp_path / "physics.json").write_text("2")
    assert moved.fingerprint() != before
