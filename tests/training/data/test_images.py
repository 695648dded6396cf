"""Images drawn from stored states are those that the world showed, to the pixel."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EpisodeSpec, ObservationSpec
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero.sim.env import LiberoEnv
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.images import model_image
from nora_bench.policies.scripted.policy import ScriptedPolicy
from nora_bench.training.collection.demonstrator import Demonstrator, PerturbationConfig
from nora_bench.training.data.images import ImageCache, ImageSpec, MixedImages, SimImages, open_sim_images

from ..made import made

pytest.importorskip("libero", reason="no hf-libero: pip install 'nora-bench[libero]' && nora-bench doctor --fix")
pytestmark = pytest.mark.libero
PROTOCOL = "libero/openvla"


class Blank(ImageCache):
    """Grey images; counts how often it is asked."""

    made = 0

    def make(self, demonstration):
        self.made += 1
        return np.full((len(self.steps(demonstration)), self.spec.size, self.spec.size, 3), 127, np.uint8)


def test_images_are_made_once_and_memory_mapped(tmp_path):
    kept = Blank(tmp_path, ImageSpec(size=8))
    first, second = kept.get(made()), kept.get(made())
    assert kept.made == 1 and isinstance(second, np.memmap) and np.array_equal(first, second)


def test_demonstrations_with_equal_keys_have_separate_images(tmp_path):
    kept = Blank(tmp_path, ImageSpec(size=8))
    assert kept.path(made(0)) != kept.path(made(0, actions=made(1).actions))


def test_concurrent_processes_render_the_same_images(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: Blank(tmp_path, ImageSpec(size=8)).get(made()), range(16))]
    assert all(np.array_equal(found[0], other) for other in found) and len([*tmp_path.iterdir()]) == 1


def test_packs_share_the_demonstrations_by_their_keys(tmp_path):
    packs = [Blank(tmp_path / name, ImageSpec(size=8)) for name in ("official", "standin")]
    mixed = MixedImages(tmp_path, ImageSpec(size=8), packs)
    demonstrations = [made(0, key=f"demonstration {number}") for number in range(40)]
    chosen = [mixed.path(demonstration).parent.name for demonstration in demonstrations]
    assert 10 <= chosen.count("official") <= 30 and chosen.count("official") + chosen.count("standin") == 40
    again = MixedImages(tmp_path, ImageSpec(size=8), packs)
    assert [again.path(demonstration).parent.name for demonstration in reversed(demonstrations)] == chosen[::-1]
    mixed.get(demonstrations[0])
    assert [pack.made for pack in packs] == [chosen[0] == "official", chosen[0] == "standin"]


def test_pack_that_is_named_twice_gets_twice_the_share(tmp_path):
    first, second = (Blank(tmp_path / name, ImageSpec(size=8)) for name in ("official", "standin"))
    mixed = MixedImages(tmp_path, ImageSpec(size=8), [first, first, second])
    share = [mixed.path(made(0, key=f"demonstration {number}")).parent.name for number in range(300)].count("official") / 300
    assert 0.55 < share < 0.78


def test_pack_that_is_named_twice_is_opened_once(tmp_path):
    """Otherwise every change between its two halves would build the task again."""
    mixed = open_sim_images(tmp_path, ImageSpec(size=8), "standin,standin")
    assert isinstance(mixed, MixedImages) and mixed.packs[0] is mixed.packs[1]


@pytest.mark.parametrize(
    "change", [{"size": 84}, {"frame_stride": 1}, {"camera": "wrist"}, {"render_size": 128}, {"jpeg": False}]
)
def test_every_image_spec_has_its_own_folder(change):
    assert ImageSpec(**change).name != ImageSpec().name


def play(world, suite, task, steps, nudge=lambda scene: None, init=3):
    """A short demonstration, and what the world showed at every step."""
    protocol = protocols.get(PROTOCOL)
    spec = EpisodeSpec(suite, task, init, 0, PROTOCOL)
    demonstrator = Demonstrator(ScriptedPolicy(), PerturbationConfig())
    demonstrator.setup(PolicyContext(protocol, (suite,), 7))
    world.reset(spec, protocol, ObservationSpec(cameras=("primary",), privileged=True))
    nudge(world._scene)
    shown = []
    for step in range(steps):
        view = world.observation()
        shown.append(view.images)
        chunk = demonstrator.act_one(Observation(spec, step, step, "", view))
        world.step(chunk.actions[0], observe=True)
    return demonstrator.demonstration(spec.key, suite, suites.get(suite).tasks[task], {}), shown


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    found = open_sim_images(tmp_path_factory.mktemp("frames"), ImageSpec(size=256, frame_stride=1, jpeg=False))
    yield found
    found.close()


@pytest.fixture(scope="module")
def world(frames):
    world = LiberoEnv(frames.options)
    yield world
    world.close()


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 3), ("libero_object", 5)])
def test_image_rendered_from_a_state_equals_the_environments(world, frames, suite, task):
    demonstration, shown = play(world, suite, task, 6)
    assert np.array_equal(frames.get(demonstration), np.stack([view["primary"] for view in shown]))


def test_fixtures_are_also_found_in_a_recorded_model(world, frames, tmp_path):
    """LIBERO's own sets say in no other way where they stood."""
    demonstration, shown = play(world, "libero_goal", 3, 2)
    others = {name: fact for name, fact in demonstration.facts.items() if name != "fixtures"}
    drawn = SimImages(tmp_path, frames.spec, frames.options)
    drawn.get(play(world, "libero_goal", 3, 1, init=9)[0])  # leaves its own fixtures in the scene
    assert np.array_equal(drawn.get(replace(demonstration, facts=others))[1], shown[1]["primary"])
    drawn.close()


def test_burner_lights_up_at_the_exact_step(world, frames):
    def turn(scene):
        knob = scene.model.joint("flat_stove_1_button")
        scene.data.qpos[knob.qposadr], scene.data.qvel[knob.dofadr] = 0.2, 5.0

    demonstration, shown = play(world, "libero_goal", 7, 8, turn)
    knob = demonstration.states[1:, demonstration.facts["columns"]["flat_stove_1_button"]]
    assert knob[0] < 0.5 < knob[-1]
    assert np.array_equal(frames.get(demonstration), np.stack([view["primary"] for view in shown]))


def test_second_environment_in_the_process_changes_no_image(frames, tmp_path):
    """robosuite's own renderer draws every world with the meshes of the one built last."""
    first = LiberoEnv(frames.options)
    demonstration, shown = play(first, "libero_object", 1, 2)
    second = LiberoEnv(frames.options)
    play(second, "libero_object", 9, 1)
    drawn = SimImages(tmp_path, frames.spec, frames.options)
    assert np.array_equal(drawn.get(demonstration)[1], shown[1]["primary"])
    spec, protocol = EpisodeSpec("libero_object", 1, 3, 0, PROTOCOL), protocols.get(PROTOCOL)
    first.reset(spec, protocol, ObservationSpec(cameras=("primary",)))
    assert np.array_equal(first.observation().images["primary"], shown[0]["primary"])
    for thing in (drawn, first, second):
        thing.close()


def test_resized_image_equals_an_evaluations(world, frames, tmp_path):
    demonstration, shown = play(world, "libero_object", 5, 3)
    small = SimImages(tmp_path, ImageSpec(size=112, frame_stride=2), frames.options)
    steps = {name: step for name, step in protocols.get(PROTOCOL).model_image.items() if name != "crop"}
    wanted = [model_image(shown[step]["primary"], 112, steps) for step in (0, 2)]
    assert np.array_equal(small.get(demonstration), wanted)
    small.close()


def test_states_of_another_task_are_rejected(frames):
    with pytest.raises(SuiteError, match="9 numbers"):
        frames.get(made(seen_qpos=None))
