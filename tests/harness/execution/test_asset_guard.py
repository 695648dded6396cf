import os

import pytest
from nora_bench.envs.errors import MissingRequirementError, SuiteError
from nora_bench.envs.packs import fingerprint
from nora_bench.harness.execution.asset_guard import AssetGuard


@pytest.fixture
def pack(tmp_path):
    """A folder of two files."""
    for name in ("mesh.obj", "textures/wood.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def watching(pack):
    return AssetGuard(str(pack), fingerprint(pack), lambda: fingerprint(pack))


def test_unchanged_pack_passes(pack):
    watching(pack).require_same()


@pytest.mark.parametrize(
    "change",
    [
        lambda pack: (pack / "mesh.obj").write_text("another mesh"),
        lambda pack: (pack / "mesh.obj").unlink(),
        lambda pack: (pack / "mesh.obj").rename(pack / "mesh.obj.old"),
    ],
)
def test_changed_files_are_named_in_the_error(pack, change):
    watch = watching(pack)
    change(pack)
    with pytest.raises(MissingRequirementError, match=r"assets changed during the run \(mesh.obj.*no episode was recorded since"):
        watch.require_same()


def test_pack_rewritten_with_the_same_contents_passes(pack):
    watch = watching(pack)
    os.utime(pack / "mesh.obj", (1, 1))
    watch.require_same()


def test_files_outside_the_fingerprint_may_change(pack):
    watch = watching(pack)
    (pack / "mesh.obj.convex.stl").write_text("cooked")
    watch.require_same()


def test_pack_with_missing_files_is_rejected(pack):
    def incomplete():
        raise SuiteError("lacks 1 file")

    watch = AssetGuard(str(pack), fingerprint(pack), incomplete)
    (pack / "mesh.obj").unlink()
    with pytest.raises(MissingRequirementError, match="assets changed"):
        watch.require_same()


def test_suite_without_assets_passes():
    AssetGuard("", "0123456789abcdef", lambda: "").require_same()
