import json
from dataclasses import dataclass, replace

import fakes
import numpy as np
import pytest
from fakes import ToyEnv, ToySuite
from nora_bench.envs import suites
from nora_bench.envs.base import EnvObservation, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, Reset
from nora_bench.envs.checks import check_suite
from nora_bench.envs.errors import ExitCode, SuiteError
from nora_bench.envs.specs import ActionDim, ProprioSpec

OPTIONS = EnvOptions("", "none", "")


@dataclass(frozen=True)
class Other(ToySuite):
    """The toy suite with another world."""

    world: type = ToyEnv

    def make_env(self, options):
        return self.world(options)


@pytest.mark.parametrize("suite", [fakes.toy, fakes.toy_seeded, fakes.priced], ids=lambda suite: suite.name)
def test_toy_suites_fulfil_the_contract(suite):
    check_suite(suite, OPTIONS)


def test_every_task_can_be_checked():
    for task in fakes.toy.tasks:
        check_suite(fakes.toy, OPTIONS, task_id=task.id)
    with pytest.raises(SuiteError, match="no task 9"):
        check_suite(fakes.toy, OPTIONS, task_id=9)


class Forgetful(ToyEnv):
    """The last episode's seed is left."""

    last = 0

    def reset(self, spec, protocol, observation_spec):
        found = super().reset(spec, protocol, observation_spec)
        left, self.last = self.last, spec.seed
        return replace(found, states=found.states + left)


class Fickle(ToyEnv):
    """Every world is another."""

    def reset(self, spec, protocol, observation_spec):
        self.offset = getattr(self, "offset", float(np.random.default_rng().normal()))
        return replace(super().reset(spec, protocol, observation_spec), states=np.full((3, 2), self.offset))


class Disturbed(ToyEnv):
    """Looking moves the block."""

    def step(self, action, *, observe):
        self.position += 0.1 * len(self.observation_spec.cameras)
        return super().step(action, observe=observe)


class Generous(ToyEnv):
    """Shows what nobody asked for."""

    def observation(self):
        return EnvObservation(super().observation().images, {"position": np.zeros(1)})


class Busy(ToyEnv):
    """Draws at every step."""

    spent = 0.0

    def step(self, action, *, observe):
        self.spent += 0.1
        return super().step(action, observe=observe)

    def render_seconds(self):
        return self.spent


class Grey(ToyEnv):
    """Returns images without colours."""

    def observation(self):
        return EnvObservation(
            {name: image[:, :, 0] for name, image in super().observation().images.items()}, super().observation().proprio
        )


class Exploding(ToyEnv):
    """Starts beyond all numbers."""

    def reset(self, spec, protocol, observation_spec):
        super().reset(spec, protocol, observation_spec)
        return Reset(np.full((1, 2), np.nan), {})


@pytest.mark.parametrize(
    ("world", "broken"),
    [
        (Forgetful, "a reset leaves something of the episode before"),
        (Fickle, "two environments run the same episode differently"),
        (Disturbed, "observing changes the simulator's states"),
        (Generous, "observed only where it is specified"),
        (Busy, "renders where no decision is due"),
        (Grey, "image primary is .* uint8"),
        (Exploding, "states after a reset are finite"),
    ],
)
def test_check_names_the_contract_that_an_environment_breaks(world, broken):
    with pytest.raises(SuiteError, match=broken):
        check_suite(Other("toy", world=world), OPTIONS)


class Untold(ToySuite):
    """Says that seeds do not matter, and they do."""

    @property
    def tasks(self):
        return tuple(replace(task, seeded=False) for task in super().tasks)


class Twins(ToySuite):
    @property
    def tasks(self):
        return super().tasks[:1] * 2


class Odd(ToySuite):
    def versions(self):
        return {"toy": 1}


@pytest.mark.parametrize(
    ("suite", "broken"),
    [
        (Untold("toy_seeded", seeded=True), "says seeded=False; a seed does matter"),
        (Twins("toy"), "tasks, of different ids"),
        (Odd("toy"), "both texts"),
        (ToySuite("new"), "no step budget"),
        (ToySuite("toy", family="other"), "is for toy, not other"),
        (ToySuite("toy", title=""), "a title"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_check_names_the_contract_that_a_suite_breaks(suite, broken):
    with pytest.raises(SuiteError, match=broken):
        check_suite(suite, OPTIONS)


class Point:
    """An environment that does not subclass `Env`, without the optional member."""

    def __init__(self, options):
        self.inner = ToyEnv(options)
        self.action_size = self.inner.action_size
        for name in ("reset", "step", "observation", "state", "render_seconds", "close"):
            setattr(self, name, getattr(self.inner, name))


class Structural:
    """A suite that does not subclass `Suite`, with the required members alone."""

    name, family, title, default_protocol = "toy", "toy", "Toy", "toy/plain"
    tasks, protocols = fakes.toy.tasks, fakes.PROTOCOLS

    def resolve_assets(self, wanted):
        return fakes.toy.resolve_assets(wanted)

    def make_env(self, options):
        return Point(options)

    def versions(self):
        return {}


def test_suite_that_does_not_subclass_gets_the_defaults_of_optional_members():
    suite = suites.complete(Structural())
    assert (suite.cameras, suite.opengl, suite.vulkan, tuple(suite.backends)) == (("primary", "wrist"), True, False, ())
    assert (dict(suite.cost), tuple(suite.action_spec), suite.protocols) == ({}, (), fakes.PROTOCOLS)
    assert suite.instruction(EpisodeSpec("toy", 1, 0, 0, "toy/plain")) == "go home, number 1"
    check_suite(suite, OPTIONS)


def test_suite_that_subclasses_is_left_as_it_is():
    assert suites.complete(fakes.toy) is fakes.toy


def test_suite_without_required_members_is_rejected_with_their_names():
    with pytest.raises(SuiteError, match=r"Lacking lacks name, family, title, tasks, default_protocol, .*subclass"):
        suites.complete(type("Lacking", (), {"resolve_assets": None})())


@pytest.mark.parametrize(
    ("members", "broken"),
    [
        ({"action_spec": "abc"}, "action_spec must be"),
        ({"action_spec": (ActionDim("dx", low=1.0, high=-1.0),)}, r"low .* above high"),
        ({"cameras": "primary"}, "cameras must be"),
        ({"tasks": ()}, "tasks must be"),
        ({"cost": {"step_s": 1.0}}, "cost lacks image_s, reset_s, build_s"),
        ({"cost": {"step_s": "1"}}, "cost must map"),
        ({"tasks": property(lambda self: 1 / 0)}, "ZeroDivisionError"),
    ],
)
def test_impossible_declaration_is_the_suites_fault(members, broken):
    kind = type("Faulty", (ToySuite,), members)
    with pytest.raises(SuiteError, match=broken) as caught:
        suites.complete(kind("toy") if "cost" not in members else replace(kind("toy"), **members))
    assert caught.value.exit_code == ExitCode.MISSING_REQUIREMENT


class RaisingSuite(ToySuite):
    def resolve_assets(self, wanted):
        raise RuntimeError("boom")


class PathSuite(ToySuite):
    def resolve_assets(self, wanted):
        return "folder"


@pytest.mark.parametrize("kind", [RaisingSuite, PathSuite])
def test_fault_of_resolve_assets_is_the_suites(kind):
    with pytest.raises(SuiteError, match="suite toy: resolve_assets"):
        suites.resolve_assets(kind("toy"), "auto")


def test_environment_that_does_not_subclass_has_no_measures():
    env = suites.complete_env(Point(None))
    assert env.measures() == {} and env.action_size == 1


class Miscounted(ToySuite):
    action_spec = (ActionDim("dx"), ActionDim("dy"))


class Misnamed(ToySuite):
    cameras = ("primary", "overhead")


class Mistyped(ToySuite):
    proprio_spec = ("position",)


class Missized(ToySuite):
    proprio_spec = (ProprioSpec("position", 3),)


@pytest.mark.parametrize(
    ("suite", "broken"),
    [
        (Miscounted, "action_spec declares 2 numbers, action_size is 1"),
        (Misnamed, "cameras are some of primary, wrist"),
        (Mistyped, "proprio_spec must be a tuple of ProprioSpec"),
        (Missized, "proprio_spec declares 3 numbers of position, and 1 are observed"),
    ],
)
def test_declaration_that_does_not_hold_is_named(suite, broken):
    with pytest.raises(SuiteError, match=broken):
        check_suite(suite("toy"), OPTIONS)


def test_protocol_is_stored_under_the_names_of_record_format_1():
    protocol = fakes.protocol(replan_steps=3, perturbation={"steps": 5, "rest": 3})
    stored = protocol.to_json()
    assert (stored["replan"], stored["push"]) == (3, {"steps": 5, "rest": 3}) and stored["budget"] == protocol.max_steps
    assert not {"max_steps", "replan_steps", "perturbation"} & stored.keys()
    assert EvalProtocol(**EvalProtocol.renamed(stored)) == protocol


@pytest.mark.parametrize(
    "spec",
    [
        ObservationSpec(cameras=("primary",), image_size=64, proprio=True),
        ObservationSpec(orientation="rotated_180", proprio_spec=(ProprioSpec("eef_pos", 3, "m"),)),
    ],
    ids=["undeclared", "declared"],
)
def test_observation_spec_survives_storage(spec):
    assert ObservationSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_undeclared_parts_of_an_observation_spec_are_not_stored():
    assert ObservationSpec().to_json().keys() == {"cameras", "image_size", "proprio", "privileged"}
