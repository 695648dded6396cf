"""Textures are painted where they should be, tile, and are stored as any reader understands."""

import io
import zlib

import numpy as np
import pytest
from nora_bench.envs.standin import paint
from nora_bench.envs.standin.paint import STROKES, Canvas, png

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def test_png_is_read_back_unchanged():
    image = pytest.importorskip("PIL.Image")
    pixels = paint.stone(300, 200, BLACK, WHITE, seed=1).astype(np.uint8)
    assert np.array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_png_is_stored_not_compressed():
    content = png(np.zeros((64, 64, 3), np.uint8))
    start = content.index(b"IDAT") + 4
    assert len(content) > 64 * 64 * 3
    assert zlib.decompress(content[start : content.index(b"IEND") - 8]) == bytes(64 * (1 + 3 * 64))


def test_rectangle_covers_its_pixels_and_no_others():
    painted = Canvas(8, 8, BLACK).rectangle(2, 3, 5, 6, WHITE).done()[..., 0] > 127
    assert np.argwhere(painted).min(0).tolist() == [3, 2]
    assert painted.sum() == 9


def test_circle_covers_its_area():
    covered = Canvas(100, 100, BLACK).circle(50, 50, 30, WHITE).done()[..., 0].sum() / 255
    assert covered == pytest.approx(np.pi * 30**2, rel=0.01)


def test_shapes_are_clipped_at_the_edge():
    canvas = Canvas(8, 8, BLACK).rectangle(-20, -20, 40, 4, WHITE).circle(90, 90, 5, WHITE)
    assert canvas.done()[..., 0].sum() == 8 * 4 * 255


@pytest.mark.parametrize("letter", sorted(set(STROKES) - {" "}))
def test_letter_fills_its_height_and_stays_in_its_box(letter):
    inked = np.argwhere(Canvas(100, 100, BLACK).text(letter, 50, 50, 60, WHITE, bold=0.1).done()[..., 0] > 127)
    assert inked.min(0) == pytest.approx([17, inked.min(0)[1]], abs=1.5)
    assert inked.max(0)[0] == pytest.approx(83, abs=1.5)
    assert inked[:, 1].min() >= 20
    assert inked[:, 1].max() <= 80


def test_word_is_fitted_to_a_width():
    inked = np.argwhere(Canvas(300, 60, BLACK).text("PUDDING", 150, 30, 30, WHITE, width=200, bold=0.1).done()[..., 0] > 127)
    assert np.ptp(inked[:, 1]) == pytest.approx(203, abs=2)


def test_noise_is_a_function_of_its_seed_and_tiles():
    first, again, other = (paint.noise(64, 48, 8, 6, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.1
    assert np.abs(first[:, 0] - first[:, -1]).max() <= np.abs(np.diff(first, axis=1)).max()
    assert 0 <= first.min() < first.max() <= 1


@pytest.mark.parametrize("make", [paint.wood, paint.brushed, paint.stone])
def test_material_stays_between_its_two_colours(make):
    image = make(64, 64, (40, 60, 80), (90, 110, 130), seed=1)
    assert (image >= [40, 60, 80]).all()
    assert (image <= [90, 110, 130]).all()
    assert image.std() > 1
