"""The reference of the official pack's images, and recorded images whose pack had substitutes."""

from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.base import EnvOptions
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero import official_images, parity
from nora_bench.envs.libero.assets.official_files import official

IMAGE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
OPTIONS = EnvOptions("assets", "none", "cache")
REFERENCE = Path(official_images.__file__).parent / "recordings" / official_images.NAME


@pytest.fixture
def reference(tmp_path, monkeypatch):
    """A reference of two tasks that show the same image."""
    monkeypatch.setattr(official_images, "all_tasks", lambda: ["libero_goal/0", "libero_goal/1"])
    monkeypatch.setattr(official_images, "first_images", lambda task, options: {"primary": IMAGE, "wrist": IMAGE // 2})
    official_images.write_reference(tmp_path / official_images.NAME, OPTIONS)
    return tmp_path / official_images.NAME


def render(monkeypatch, image):
    monkeypatch.setattr(official_images, "first_images", lambda task, options: {"primary": image, "wrist": IMAGE // 2})


def test_same_images_are_bit_identical(reference):
    checks = list(official_images.compare(reference, OPTIONS))
    assert [(check.case, check.passed, check.note) for check in checks] == [
        (task, True, "bit-identical") for task in ("libero_goal/0", "libero_goal/0", "libero_goal/1", "libero_goal/1")
    ]


def test_another_renderers_rounding_passes_and_is_not_identical(reference, monkeypatch):
    render(monkeypatch, np.maximum(IMAGE, 1) - 1)
    first = next(official_images.compare(reference, OPTIONS))
    assert (first.passed, first.note) == (True, "")


def test_another_texture_in_one_cell_fails(reference, monkeypatch):
    image = IMAGE.copy()
    image[32:48, 64:80] //= 2
    render(monkeypatch, image)
    failed = [check.quantity for check in official_images.compare(reference, OPTIONS, ("libero_goal/1",)) if not check.passed]
    assert len(failed) == 1
    assert "primary" in failed[0]


def test_file_of_another_layout_is_rejected(tmp_path):
    np.savez(tmp_path / "a.npz", tasks=np.array(["libero_goal/0"]))
    with pytest.raises(SuiteError, match="is not a reference of images"):
        list(official_images.compare(tmp_path / "a.npz", OPTIONS))


def test_committed_reference_has_both_cameras_of_all_40_tasks():
    with np.load(REFERENCE) as arrays:
        assert list(arrays["tasks"]) == official_images.all_tasks()
        assert arrays["signatures"].shape == (40, 2, 16, 16, 3)
        assert len(np.unique(arrays["sha256"])) == 80


# --- recorded images ----------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path):
    """The recorded image's file; the lower left quarter is to differ."""
    image = pytest.importorskip("PIL.Image")
    image.fromarray(IMAGE).save(tmp_path / "recorded.png")
    return tmp_path / "recorded.png"


def checks_of(path, image, files=(), mask=None):
    covered = np.zeros((256, 256), bool) if mask is None else mask
    return list(parity._compare_image("case", "agentview first", parity._Rendered(image, path, list(files), covered)))


def quarter():
    mask = np.zeros((256, 256), bool)
    mask[:128, :128] = True
    return mask


def test_equal_image_passes_as_a_whole_even_where_substitutes_are_shown(recorded):
    (check,) = checks_of(recorded, IMAGE, ["bowl.png"], quarter())
    assert (check.error, check.tolerance) == (0.0, parity.IMAGE_TOLERANCE)


def test_other_image_fails_where_no_substitute_is_shown(recorded):
    (check,) = checks_of(recorded, 255 - IMAGE)
    assert not check.passed


def test_difference_on_a_substitute_is_reported_with_its_file(recorded):
    image = np.where(quarter()[..., None], 255 - IMAGE, IMAGE)
    whole, outside = checks_of(recorded, image, ["bowl.png"], quarter())
    assert (whole.tolerance, whole.error > 1) == (None, True)
    assert "bowl.png" in whole.note
    assert (outside.error, outside.tolerance, outside.note) == (0.0, parity.IMAGE_TOLERANCE, "75 % of the image")


def test_difference_beside_the_substitute_fails(recorded):
    _, outside = checks_of(recorded, 255 - IMAGE, ["bowl.png"], quarter())
    assert not outside.passed


def test_image_of_another_size_fails(recorded):
    (check,) = checks_of(recorded, IMAGE[:128, :128], ["bowl.png"], quarter())
    assert not check.passed


def test_listed_substitutes_are_liberos_files():
    assert len(parity._substitutes()) == 15
    assert parity._substitutes() <= official().files.keys()
