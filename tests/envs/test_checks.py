from dataclasses import dataclass, replace

import fakes
import numpy as np
import pytest
from fakes import ToySuite, ToyWorld
from nora_bench.envs.base import EnvObservation, EnvOptions, Reset
from nora_bench.envs.checks import check_suite
from nora_bench.envs.errors import SuiteError

OPTIONS = EnvOptions("", "none", "")


@dataclass(frozen=True)
class Other(ToySuite):
    """The toy suite with another world."""

    world: type = ToyWorld

    def make_env(self, options):
        return self.world(options)


@pytest.mark.parametrize("suite", [fakes.toy, fakes.toy_seeded, fakes.priced], ids=lambda suite: suite.name)
def test_toy_suites_fulfil_the_contract(suite):
    check_suite(suite, OPTIONS)


def test_every_task_can_be_checked():
    for task in fakes.toy.tasks:
        check_suite(fakes.toy, OPTIONS, task_id=task.id)
    with pytest.raises(SuiteError, match="there is no task 9"):
        check_suite(fakes.toy, OPTIONS, task_id=9)


class Forgetful(ToyWorld):
    """The last episode's seed is left."""

    last = 0

    def reset(self, spec, protocol, observation_spec):
        found = super().reset(spec, protocol, observation_spec)
        left, self.last = self.last, spec.seed
        return replace(found, states=found.states + left)


class Fickle(ToyWorld):
    """Every world is another."""

    def reset(self, spec, protocol, observation_spec):
        self.offset = getattr(self, "offset", float(np.random.default_rng().normal()))
        return replace(super().reset(spec, protocol, observation_spec), states=np.full((3, 2), self.offset))


class Disturbed(ToyWorld):
    """Looking moves the block."""

    def step(self, action, *, observe):
        self.position += 0.1 * len(self.observation_spec.cameras)
        return super().step(action, observe=observe)


class Generous(ToyWorld):
    """Shows what nobody asked for."""

    def observation(self):
        return EnvObservation(super().observation().images, {"position": np.zeros(1)})


class Busy(ToyWorld):
    """Draws at every step."""

    spent = 0.0

    def step(self, action, *, observe):
        self.spent += 0.1
        return super().step(action, observe=observe)

    def render_seconds(self):
        return self.spent


class Grey(ToyWorld):
    """Shows pictures without colours."""

    def observation(self):
        return EnvObservation(
            {name: image[:, :, 0] for name, image in super().observation().images.items()}, super().observation().proprio
        )


class Exploding(ToyWorld):
    """Starts beyond all numbers."""

    def reset(self, spec, protocol, observation_spec):
        super().reset(spec, protocol, observation_spec)
        return Reset(np.full((1, 2), np.nan), {})


@pytest.mark.parametrize(
    ("world", "broken"),
    [
        (Forgetful, "a reset leaves something of the episode before"),
        (Fickle, "two worlds play the same episode differently"),
        (Disturbed, "looking changes the simulator's states"),
        (Generous, "shown only where it is needed"),
        (Busy, "draws where no decision is due"),
        (Grey, "picture primary is .* uint8"),
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
