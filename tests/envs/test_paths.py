"""The cache: complete and read-only, of nobody, on a full disk."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest
from nora_bench.envs.manifest import write_manifest
from nora_bench.envs.paths import CacheError, cache_home, ensure_cache_home, write_problem
from nora_bench.envs.standin import cache
from nora_bench.envs.standin.cache import StandInPack
from unprivileged import run_unprivileged


def generate(folder):
    folder.mkdir(parents=True)
    (folder / "mesh.obj").write_text("v 0 0 0")


@pytest.fixture
def standin(tmp_path):
    (tmp_path / "code").mkdir()
    return StandInPack(1, tmp_path / "code", generate)


def test_missing_cache_is_created(tmp_path, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "a" / "b"))
    assert ensure_cache_home().is_dir()


def test_unwritable_cache_error_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match=r"file/cache cannot be written: .*export NORA_BENCH_HOME=FOLDER"):
        ensure_cache_home()


@pytest.mark.parametrize("named", ["", "~/cache"])
def test_user_without_home_must_name_a_folder(monkeypatch, named):
    def nowhere(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("NORA_BENCH_HOME", named)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setattr(Path, "expanduser", nowhere)
    with pytest.raises(CacheError, match="export NORA_BENCH_HOME=FOLDER"):
        cache_home()


def test_complete_pack_in_an_unwritable_cache_is_used(standin, tmp_path):
    there = standin.folder(tmp_path / "cache")
    generate(there)
    write_manifest(there.parent, source="test")
    code = (
        "import sys; from pathlib import Path; from nora_bench.envs.standin.cache import StandInPack;"
        "from nora_bench.envs.paths import write_problem; here = Path(sys.argv[1]);"
        "print(bool(write_problem(here / 'cache')), StandInPack(1, here / 'code', print).ensure(here / 'cache'))"
    )
    (tmp_path / "cache").chmod(0o555)
    try:
        done = run_unprivileged([sys.executable, "-c", code, str(tmp_path)])
    finally:
        (tmp_path / "cache").chmod(0o755)
    assert done.stdout.split() == ["True", str(there)], done.stderr


def test_full_disk_error_names_the_folder(standin, tmp_path, monkeypatch):
    def full(*_args, **_kw):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "write_manifest", full)
    with pytest.raises(CacheError, match=r"cache cannot be written: No space left on device.*NORA_BENCH_HOME"):
        standin.ensure(tmp_path / "cache")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_stand_ins_are_generated_on_a_disk_without_locks(standin, tmp_path, monkeypatch, number):
    def no_locks(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert (standin.ensure(tmp_path / "cache") / "mesh.obj").exists()


def test_pack_of_a_concurrent_process_is_used(standin, tmp_path):
    home = standin.folder(tmp_path).parent

    def both(folder):
        generate(folder)
        generate(home / "assets")
        write_manifest(home, source="another process")

    cache._make(home, both, "this one")
    assert json.loads((home / "manifest.json").read_text())


def test_writable_folder_has_no_write_problem(tmp_path):
    assert write_problem(tmp_path / "not" / "there") == ""
    assert [*tmp_path.iterdir()] == []


def test_unwritable_folder_reports_the_reason(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    probe = "print(write_problem(Path(sys.argv[1])))"
    code = f"import sys; from pathlib import Path; from nora_bench.envs.paths import write_problem; {probe}"
    assert "cannot be written: Permission denied" in run_unprivileged([sys.executable, "-c", code, tmp_path / "closed"]).stdout


def test_run_without_writable_cache_exits_with_3(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    words = ["run", "--suite", "libero_goal", "--tasks", "0", "--episodes", "1", "--policy", "zero", "--assets", "standin"]
    command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", *words, "--out", str(tmp_path / "run")]
    done = run_unprivileged(command, NORA_BENCH_HOME=str(tmp_path / "closed" / "cache"))
    assert (done.returncode, "export NORA_BENCH_HOME=FOLDER" in done.stderr) == (3, True), done.stderr
