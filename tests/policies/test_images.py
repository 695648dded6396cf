import numpy as np
import pytest
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.images import centre_crop, jpeg_round_trip, model_image, resize_area, resize_lanczos3


def noise(height=64, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_resizing_is_tensorflows_within_one_grey_level_on_one_value_in_ten_thousand(golden):
    with np.load(golden / "nora" / "image_resize_tf_lanczos3.npz") as file:
        for name in (key.removesuffix(".in") for key in file if key.endswith(".in")):
            wanted = file[f"{name}.out"].astype(int)
            off = np.abs(resize_lanczos3(file[f"{name}.in"], *wanted.shape[:2]) - wanted)
            assert off.max() <= 1 and (off > 0).mean() <= 1e-4


def test_resizing_to_the_same_size_changes_nothing():
    image = noise()
    assert np.array_equal(resize_lanczos3(image, 64, 64), image)


@pytest.mark.parametrize("height, width", [(512, 640), (480, 640), (224, 300)])
def test_shrinking_by_area_is_opencvs_within_one_grey_level_on_one_value_in_a_thousand(height, width):
    cv2 = pytest.importorskip("cv2", reason="pip install 'nora-bench[libero]'")
    image = noise(height, width)
    off = np.abs(resize_area(image, 224, 224).astype(int) - cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA))
    assert off.max() <= 1 and (off > 0).mean() <= 1e-3


def test_area_does_not_enlarge():
    with pytest.raises(PolicyError, match="shrinks only: 64 x 64 to 100 x 100"):
        model_image(noise(), 100, {"filter": "area"})


@pytest.mark.parametrize("size", [16, 64, 100])
def test_a_flat_picture_stays_flat_through_every_step(size):
    flat = np.full((64, 48, 3), 77, np.uint8)
    assert (model_image(flat, size, {"jpeg": True, "filter": "lanczos3", "crop": 0.9}) == 77).all()


def test_rows_and_columns_are_resized_alike():
    image = noise(40, 52)
    turned = resize_lanczos3(image.transpose(1, 0, 2), 28, 28).transpose(1, 0, 2).astype(int)
    assert np.abs(turned - resize_lanczos3(image, 28, 28)).max() <= 1


def test_a_crop_keeps_the_centre_and_drops_the_border():
    image = np.zeros((100, 100, 3), np.uint8)
    image[[0, 1, -2, -1]] = 255
    assert centre_crop(image, 0.9).max() == 0
    ramp = np.repeat(np.arange(101, dtype=np.uint8)[:, None, None], 101, axis=1).repeat(3, axis=2)
    # sqrt(0.81) of an axis of 100 steps: from 5 to 95, the middle stays.
    assert centre_crop(ramp, 0.81)[[0, 50, 100], 0, 0].tolist() == [5, 50, 95]


def test_a_jpeg_round_trip_changes_a_noisy_picture_and_keeps_its_shape():
    image = noise()
    assert jpeg_round_trip(image).shape == image.shape and not np.array_equal(jpeg_round_trip(image), image)


@pytest.mark.parametrize("steps", [{"jpeg": True}, {}])
def test_the_protocol_decides_about_the_jpeg_round_trip(steps):
    image = noise()
    wanted = jpeg_round_trip(image) if steps else image
    assert np.array_equal(model_image(image, 64, steps), wanted)


@pytest.mark.parametrize("steps, complaint", [({"blur": 1}, "unknown steps"), ({"filter": "bent"}, "filter 'bent'")])
def test_a_preprocessing_that_is_not_known_is_refused(steps, complaint):
    with pytest.raises(PolicyError, match=complaint):
        model_image(noise(), 64, steps)
