"""Defects of images: every image, keyed by scene, camera and step, for any suite."""

import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.perturbations import axes, images

KINDS = sorted(images.DEFECTS)
IMAGE = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
SEEN = EnvObservation(images={"primary": IMAGE, "wrist": IMAGE}, proprio={"eef_pos": np.zeros(3)}, instruction="open it")


def spec(perturbation, protocol="toy/plain", state=0):
    return EpisodeSpec("toy", 0, state, 0, protocol, perturbation=perturbation)


def changed(perturbation, step=0, camera="primary", **values):
    return images.defects_of(spec(perturbation, **values)).apply(SEEN, step).images[camera]


def damage(image):
    return float(np.mean(np.square(image.astype(float) - IMAGE)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["1", "2", "3"])
def test_first_image_is_changed_and_keeps_its_shape_and_type(kind, level):
    image = changed(f"noise-{kind}-{level}")
    assert (image.shape, image.dtype) == (IMAGE.shape, IMAGE.dtype)
    assert damage(image) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_graded(kind):
    damages = [np.mean([damage(changed(f"noise-{kind}-{level}", step)) for step in range(1, 12)]) for level in (1, 2, 3)]
    assert damages == sorted(damages)
    assert len(set(damages)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_image_depends_on_scene_and_step_alone(kind):
    name = f"noise-{kind}-2"
    later = changed(name, step=7)
    changed(name, step=3)
    assert (changed(name, step=7) == later).all()
    assert (changed(name, step=7, protocol="toy/chunk-end") == later).all()


@pytest.mark.parametrize("kind", ["gaussian", "motion", "fog", "patch"])
def test_cameras_and_scenes_differ(kind):
    name = f"noise-{kind}-3"
    assert (changed(name) != changed(name, camera="wrist")).any()
    assert (changed(name) != changed(name, state=1)).any()


def test_images_of_the_environment_and_its_other_observations_are_untouched():
    before = IMAGE.copy()
    seen = images.defects_of(spec("noise-patch-3")).apply(SEEN, 0)
    assert (before == IMAGE).all()
    assert (seen.proprio, seen.instruction) == (SEEN.proprio, SEEN.instruction)


def test_every_kind_occurs_over_scenes_and_is_that_of_the_scene():
    kinds = [images.defects_of(spec("noise2", state=state)).kind for state in range(100)]
    assert set(kinds) == set(KINDS)
    assert images.defects_of(spec("noise2", "toy/chunk-end", 5)).kind == kinds[5]


def test_every_listed_kind_is_a_level():
    noise = axes.axes()["noise"]
    listed = [kind for level in noise.graded for kind in noise.levels[level]["kinds"]]
    assert sorted(listed) == sorted(set(noise.levels) - set(noise.graded))


def test_dropped_camera_is_black_in_about_its_share_of_images_and_whole_in_the_others():
    black = [not changed("noise-dropped-2", step).any() for step in range(1, 201)]
    assert 75 <= sum(black) <= 125
    assert (changed("noise-dropped-2", black.index(False) + 1) == IMAGE).all()


def test_jpeg_of_good_quality_is_near_the_image():
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)[..., None].repeat(3, axis=2)
    image = images.jpeg(smooth, {"quality": 95}, None, None)
    assert np.abs(image.astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(33, 50), (64, 48), (16, 16)])
def test_sides_need_no_multiple_of_eight(kind, shape):
    seen = EnvObservation(images={"primary": np.full((*shape, 3), 90, np.uint8)})
    assert images.defects_of(spec(f"noise-{kind}-3")).apply(seen, 0).images["primary"].shape == (*shape, 3)


@pytest.mark.parametrize("perturbation", ["", "latency-100ms", "camera2"])
def test_other_episodes_have_no_defects(perturbation):
    assert images.defects_of(spec(perturbation)) is None
