"""The official pack arrives whole or not at all: against a small hub that answers as the real one, and misbehaves."""

import json

import pytest
from fake_hub import COMMIT, FakeHub
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero.assets.fetch import Source, fetch
from nora_bench.envs.libero.assets.hub import REPOSITORY
from nora_bench.envs.libero.assets.required_files import XML_FILES
from nora_bench.envs.manifest import absent_files, damaged_files

pytest.importorskip("huggingface_hub")

MESH = "scenes/plant/visual/plant_vis.msh"
FILES = {name: f"<mujoco model={name!r}/>".encode() for name in XML_FILES} | {MESH: bytes(range(256)) * 64, "README.md": b"read"}


@pytest.fixture
def hub(monkeypatch):
    for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, "1")
    with FakeHub(REPOSITORY, FILES, large=(MESH,)) as server:
        yield server


@pytest.fixture
def home(tmp_path):
    return tmp_path / "libero" / "official"


def get(hub, home, **options):
    return fetch(home, source=Source.hub, endpoint=hub.url, say=lambda line: None, **options)


def test_all_files_arrive_and_are_checked(hub, home):
    assets = get(hub, home)
    assert assets == home / "assets"
    assert {path.relative_to(assets).as_posix() for path in assets.rglob("*") if path.is_file()} == FILES.keys() - {"README.md"}
    assert (assets / MESH).read_bytes() == FILES[MESH]
    assert damaged_files(home) == []


def test_manifest_names_the_commit(hub, home):
    get(hub, home)
    assert COMMIT in json.loads((home / "manifest.json").read_text())["source"]


def test_complete_pack_is_not_downloaded_again(hub, home):
    get(hub, home)
    hub.sent.clear()
    get(hub, home)
    assert hub.sent == []


def test_interrupted_download_is_no_pack_and_resumes(hub, home):
    hub.refused = {MESH}
    with pytest.raises(SuiteError, match="what arrived is kept"):
        get(hub, home)
    assert not home.exists()
    part = home.with_name("official.part") / "assets"
    arrived = {name for name in FILES if (part / name).is_file()}
    assert len(arrived) > 10
    hub.refused = set()
    hub.sent.clear()
    get(hub, home)
    assert MESH in hub.sent
    assert arrived.isdisjoint(hub.sent)
    assert damaged_files(home) == []


@pytest.mark.parametrize("name", [MESH, XML_FILES[0]], ids=["large file", "small file"])
def test_file_with_wrong_digest_is_downloaded_twice_and_then_rejected(hub, home, name):
    hub.harmed = {name}
    with pytest.raises(SuiteError, match=f"1 files arrived damaged, the first is {name}"):
        get(hub, home)
    assert hub.sent.count(name) == 2
    assert not home.exists()
    hub.harmed = set()
    get(hub, home)
    assert damaged_files(home) == []


def test_hub_without_required_files_is_rejected(hub, home):
    del hub.files[XML_FILES[0]]
    with pytest.raises(SuiteError, match=f"lacks 1 files that LIBERO loads, the first is {XML_FILES[0]}"):
        get(hub, home)


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_file_outside_the_pack_is_rejected(hub, home, name):
    hub.files[name] = b"x"
    with pytest.raises(SuiteError, match="outside"):
        get(hub, home)
    assert not (home.parent / "outside").exists()


def test_unreachable_hub_error_names_the_alternatives(home):
    with pytest.raises(SuiteError, match=r"does not answer .* --assets standin"):
        fetch(home, source=Source.hub, endpoint="http://127.0.0.1:9", say=lambda line: None)


def test_damaged_pack_is_replaced(hub, home):
    (get(hub, home) / MESH).write_bytes(b"cut")
    assert absent_files(home) == [MESH]
    get(hub, home)
    assert damaged_files(home) == []
