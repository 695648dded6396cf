"""A bundle is verified like the run's folder, without the folder."""

import json
import shutil
import zipfile

import pytest


@pytest.fixture
def bundled(bench, cli, tmp_path):
    """A bundle of six toy episodes whose run is gone."""
    run = bench("--episodes", 2)
    ended = cli("export", run.folder, "--format", "bundle", "--out", tmp_path / "run.bundle.zip", "--json")
    assert ended.code == 0, ended.err
    shutil.rmtree(run.folder)
    return tmp_path / "run.bundle.zip", json.loads(ended.out)


def test_bundle_is_verified_by_replays(bundled, cli):
    path, written = bundled
    ended = cli("verify", path, "--sample", "1", "--json")
    assert ended.code == 0, ended.out + ended.err
    verified = json.loads(ended.out)
    assert (verified["replayed"], verified["holds"], verified["digest"]) == (6, True, written["digest"])
    assert (written["episodes"], written["with_actions"], written["bytes"]) == (6, 6, path.stat().st_size)


def test_changed_action_in_a_bundle_is_a_fault(bundled, cli):
    path, _ = bundled
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    array = bytearray(contents["actions-1.npy"])
    array[-1] ^= 1
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**contents, "actions-1.npy": bytes(array)}.items():
            archive.writestr(name, content)
    ended = cli("verify", path, "--sample", "0", "--json")
    assert (ended.code, len(json.loads(ended.out)["faults"])) == (1, 1)


def test_sample_of_0_states_that_nothing_was_replayed(bundled, cli):
    ended = cli("verify", bundled[0], "--sample", "0")
    assert (ended.code, "No episode was replayed" in ended.out, "100.0%" in ended.out) == (0, True, False)


@pytest.mark.parametrize("command", ["show", "report", "table"])
def test_command_for_folders_names_the_import_of_a_bundle(bundled, cli, command):
    ended = cli(command, bundled[0])
    assert (ended.code, f"nora-bench import {bundled[0]}" in ended.err) == (2, True)
