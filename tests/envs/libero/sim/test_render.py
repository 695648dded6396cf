"""Images are LIBERO's own, pixel for pixel, whatever the renderer omits."""

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec, ObservationSpec

pytestmark = pytest.mark.libero


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 3), ("libero_object", 0), ("libero_10", 5)])
def test_culling_changes_no_pixel(env, protocol, suite, task, monkeypatch):
    env.reset(EpisodeSpec(suite, task, 1, 0, protocol.name), protocol, ObservationSpec(cameras=("primary", "wrist")))
    renderer, rng = env._renderer, np.random.default_rng(0)
    for _ in range(4):
        for _ in range(6):
            env.step(rng.uniform(-1, 1, 7), observe=False)
        for camera in ("primary", "wrist"):
            culled, drawn = renderer.render(camera), renderer.scene.ngeom
            with monkeypatch.context() as patch:
                patch.setattr(renderer, "_outside", lambda camera: np.zeros(renderer.model.ngeom, bool))
                assert np.array_equal(culled, renderer.render(camera))
            assert drawn <= renderer.scene.ngeom


def test_wrist_camera_culls_most_of_the_arm(env, protocol):
    env.reset(EpisodeSpec("libero_object", 0, 1, 0, protocol.name), protocol, ObservationSpec(cameras=("wrist",)))
    outside = env._renderer._outside(env._scene.model.camera("robot0_eye_in_hand").id)
    drawn = env._scene.model.geom_group == 1
    assert (outside & drawn).sum() > 0.5 * drawn.sum()
