"""SimplerEnv's images: equal to recorded ones, a function of the episode, and not needed for physics."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.protocols import get as get_protocol

pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
pytest.importorskip("cv2", reason="pip install 'nora-bench[simpler]'")

import cv2
from nora_bench.envs.simpler import recordings
from nora_bench.envs.simpler.grid import configurations
from nora_bench.envs.simpler.parity.images import compare_one, grown
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.envs.simpler.sim.render import INSTEAD, RASTER, SimplerRenderer, composed, photograph, to_bytes
from nora_bench.envs.simpler.sim.visuals import TABLE, lighting

LOOK = ObservationSpec(cameras=("primary",))
STANDING = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_base/standing")
NEAR = EpisodeSpec("simpler-va", 1, 30, 0, "simpler/nora-1.5", "base")
DRAWER = EpisodeSpec("simpler-vm", 2, 0, 0, "simpler/nora-1.5", "urdf_base/top")


@pytest.fixture(scope="module")
def env(simpler_standin, driver, tmp_path_factory):
    return SapienEnv(EnvOptions(str(simpler_standin), driver, str(tmp_path_factory.mktemp("cache"))))


def first_image(env, spec):
    env.reset(spec, get_protocol("simpler/nora-1.5"), LOOK)
    return env.observation().images["primary"]


# --- against the recorded images --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def renderer(simpler_official, driver):
    return SimplerRenderer(simpler_official, driver)


NAMES = (
    "close_drawer__va_darker_middle_random_contact",
    "close_drawer__vm_bottom_a0_random",
    "move_near__va_base_ep50_carry",
    "move_near__vm_v0_ep1_carry",
    "move_near__vm_v1_ep35_push",
    "open_drawer__va_station3_top_random_contact",
    "open_drawer__vm_bottom_c2_cabinet1_random",
    "pick_coke_can__va_camera1_darker_standing_random",
    "pick_coke_can__va_distractor_less_horizontal_random",
    "pick_coke_can__vm_standing_tabletop1_grasp",
    "pick_coke_can__vm_vertical_tabletop2_grasp_drop",
)


@pytest.mark.official
@pytest.mark.parametrize("name", NAMES)
def test_images_match_the_recorded_ones(simpler_golden, simpler_official, renderer, name):
    checks = list(compare_one(simpler_golden / name, simpler_official, renderer))
    assert len(checks) == 5
    assert [check for check in checks if not check.passed] == []


@pytest.mark.official
def test_wrong_light_is_detected(simpler_golden, simpler_official, driver, monkeypatch):
    from nora_bench.envs.simpler.sim import visuals

    monkeypatch.setattr(visuals, "TABLE", visuals.TABLE_BRIGHTER)
    stem = simpler_golden / "pick_coke_can__vm_horizontal_base_grasp"
    checks = compare_one(stem, simpler_official, SimplerRenderer(simpler_official, driver))
    assert any(not check.passed for check in checks if "foreground" in check.quantity)


# --- on stand-ins -------------------------------------------------------------------------------------------------


def test_image_is_a_function_of_its_episode(env):
    before = first_image(env, STANDING)
    first_image(env, NEAR)
    assert np.array_equal(first_image(env, STANDING), before)


def test_photograph_surrounds_the_rendered_bodies(env, simpler_standin):
    image = first_image(env, STANDING)
    behind = to_bytes(photograph(simpler_standin, "google_coke_can_real_eval_1.png", (640, 512)))
    same = (image == behind).all(-1)
    assert 0.85 < same.mean() < 0.99
    can = image[~same].astype(int)
    assert ((can[:, 0] > 2 * can[:, 1]) & (can[:, 0] > 80)).sum() > 400


def test_room_is_rendered_without_a_photograph(env):
    assert first_image(env, NEAR).min(-1).mean() > 60


def test_missing_ray_tracing_is_recorded(env, driver):
    if driver.startswith("vulkan-rt"):
        pytest.skip("this device traces rays")
    ways = {spec.variant: env.reset(spec, get_protocol("simpler/nora-1.5"), LOOK).renderer for spec in (STANDING, DRAWER)}
    assert ways == {STANDING.variant: RASTER, DRAWER.variant: INSTEAD}


def test_images_are_rendered_only_on_request(env):
    env.reset(STANDING, get_protocol("simpler/nora-1.5"), LOOK)
    spent, seen = env.render_seconds(), env.observation()
    env.step(np.zeros(7), observe=False)
    assert env.render_seconds() == spent
    assert env.observation() is seen


def test_wrist_camera_is_rejected(env):
    with pytest.raises(SuiteError, match="camera 'wrist' not found"):
        env.reset(STANDING, get_protocol("simpler/nora-1.5"), ObservationSpec(cameras=("wrist",)))


BLIND = """
import sys
import numpy as np
from nora_bench.envs.base import EpisodeSpec, EnvOptions, ObservationSpec
from nora_bench.envs.protocols import get
from nora_bench.envs.simpler.sim.env import SapienEnv
world = SapienEnv(EnvOptions(sys.argv[1], "none", sys.argv[2]))
spec = EpisodeSpec("simpler-vm", 2, 0, 0, "simpler/nora-1.5", "urdf_base/top")
world.reset(spec, get("simpler/nora-1.5"), ObservationSpec(privileged=True))
world.step(np.zeros(7), observe=True)
print(len(world.state()))
"""


def test_environment_without_rendering_needs_no_driver(simpler_standin, tmp_path):
    env = {**os.environ, "VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": "/nowhere.json"}
    command = [sys.executable, "-c", BLIND, str(simpler_standin), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "28"), done.stderr


# --- the parts ----------------------------------------------------------------------------------------------------


def test_every_configuration_has_at_most_three_lights_and_one_shadow():
    for configuration in configurations():
        lights = lighting(configuration).lights
        assert len(lights) <= 3
        assert [light.shadow for light in lights] == sorted((light.shadow for light in lights), reverse=True)


def test_table_variants_differ_in_their_light():
    found = {lighting(c) for c in configurations() if c.task == "pick_coke_can"}
    assert TABLE in found
    assert len(found) == 3


def test_colours_are_truncated_not_rounded():
    assert to_bytes(np.array([-0.1, 0.0, 0.999 / 255, 1.999 / 255, 1.2])).tolist() == [0, 0, 0, 1, 255]


def test_composition_has_hard_edges():
    colour, behind = np.full((1, 2, 3), 0.5), np.zeros((1, 2, 3))
    assert composed(colour, np.array([[True, False]]), behind)[..., 0].tolist() == [[0.5, 0.0]]


def test_photograph_is_enlarged_by_interpolation(tmp_path):
    folder = tmp_path / "ManiSkill2_real2sim/data/real_inpainting"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "two.png"), np.array([[[0, 0, 0], [0, 0, 255]]], np.uint8))
    seen = photograph(tmp_path, "two.png", (4, 1))
    assert seen[0, :, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_missing_photograph_error_names_the_file(tmp_path):
    with pytest.raises(SuiteError, match=r"gone\.png is not a readable image.*nora-bench assets verify"):
        photograph(Path(tmp_path), "gone.png", (4, 4))


def test_mask_grows_in_all_directions():
    mask = np.zeros((7, 9), bool)
    mask[3, 4] = True
    assert grown(mask, 2).sum() == 25


def test_every_listed_recording_is_found(simpler_golden):
    assert {*NAMES} <= {stem.name for stem in recordings.stems(simpler_golden)}
