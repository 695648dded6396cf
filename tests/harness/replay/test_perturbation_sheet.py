"""Sheets of an axis: the control and all levels side by side."""

from types import SimpleNamespace

import numpy as np
import pytest
from nora_bench.envs import suites
from nora_bench.envs.base import AssetPack, EnvObservation, SceneCheckError
from nora_bench.envs.errors import InputError, UnknownName
from nora_bench.harness.replay import perturbation_sheet as sheet

PACK, SIZE = AssetPack("standin", "", ""), 32
GREY = {"": 200, "camera1": 150, "camera2": 100, "camera3": 50}


class GreyEnv:
    """Shows one grey per perturbation."""

    def reset(self, spec, protocol, observation_spec):
        grey = GREY.get(spec.perturbation, 200)
        side = observation_spec.image_size
        self.images = {camera: np.full((side, side, 3), grey, np.uint8) for camera in observation_spec.cameras}

    def observation(self):
        return EnvObservation(images=self.images)

    def close(self):
        pass


@pytest.fixture
def render(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr(type(suites.get("libero_goal")), "make_env", lambda self, options: GreyEnv())
    monkeypatch.setattr(sheet, "find_driver", lambda suite: SimpleNamespace(name="none"))

    def render(axis, names=("libero_goal",)):
        sheet.perturbation_sheet(tmp_path / "sheet.png", PACK, names, axis, SIZE)
        return np.asarray(image.open(tmp_path / "sheet.png"))

    return render


def test_control_and_levels_stand_side_by_side_and_suites_one_below_the_other(render):
    pixels = render("camera", ("libero_goal", "libero_10"))
    assert pixels.shape[:2] == (2 * SIZE + sheet.GAP, 4 * SIZE + 3 * sheet.GAP)
    for line in (0, 1):
        y = line * (SIZE + sheet.GAP) + SIZE - 2
        assert [pixels[y, column * (SIZE + sheet.GAP) + 2, 0] for column in range(4)] == list(GREY.values())


def test_axis_of_images_has_a_line_for_each_kind(render):
    pixels = render("noise")
    assert pixels.shape[0] == 7 * SIZE + 6 * sheet.GAP
    dropped = pixels[5 * (SIZE + sheet.GAP) : 6 * SIZE + 5 * sheet.GAP]
    assert [int(dropped[SIZE // 2, column * (SIZE + sheet.GAP) + SIZE // 2, 0]) for column in range(4)] == [200, 0, 0, 0]


@pytest.mark.parametrize(("axis", "error"), [("latency", UnknownName), ("nothing", UnknownName)])
def test_axis_without_images_is_rejected(render, axis, error):
    with pytest.raises(error):
        render(axis)


def test_suite_without_the_axis_is_rejected(render):
    with pytest.raises(InputError, match="camera"):
        render("camera", ("simpler-vm",))


def test_level_without_room_is_white(render, monkeypatch):
    reset = GreyEnv.reset

    def full(self, spec, *rest):
        if spec.perturbation == "camera2":
            raise SceneCheckError("no room")
        reset(self, spec, *rest)

    monkeypatch.setattr(GreyEnv, "reset", full)
    assert [render("camera")[SIZE - 2, column * (SIZE + sheet.GAP) + 2, 0] for column in range(4)] == [200, 150, 255, 50]
