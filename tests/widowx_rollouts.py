"""Rollouts of the scripted expert and of a policy that undoes its work, on the WidowX tasks without images."""

from dataclasses import dataclass

import numpy as np
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.protocols import get
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.policies.scripted.geometry import UP
from nora_bench.policies.scripted.steps import CLOSED, OPEN, hold, reach
from nora_bench.policies.scripted.widowx import motion, plans, scene

AWAY = np.array([0.05, 0.10, 0.0])
"""m, towards the robot's left."""


def undo(read):
    """Bring the source over its target as the expert does, then take it away again and let go."""
    yield from plans.take(read)
    yield from plans.carry(read, read.middle(read.target))
    gap = read.bottom(read.source) - read.top(read.target) - plans.DROP
    yield from reach(read, read.gripper.moved(-gap * UP), CLOSED, near=0.004)
    yield from hold(read, CLOSED, 2)
    yield from reach(read, read.gripper.moved(0.06 * UP), CLOSED, near=0.02)
    yield from reach(read, read.gripper.moved(AWAY), CLOSED, near=0.02)
    while True:
        yield from hold(read, OPEN, 100)


@dataclass(frozen=True)
class Rollout:
    """Success after each step, and the measures at the end."""

    goal: list
    measures: dict


def rollout(pack, task_id, init, plan=plans.solve, steps=None, backend="sapien3"):
    """Run one episode; `steps`: most steps, the protocol's by default."""
    env = SapienEnv(EnvOptions(assets=str(pack), gl="none", cache="", backend=backend))
    protocol = get("simpler/widowx")
    spec = EpisodeSpec("simpler-widowx", task_id, init, 0, protocol.name)
    env.reset(spec, protocol, ObservationSpec(privileged=True))
    read = scene.WidowXScene(env.observation().privileged)
    controller, targets = motion.Controller(read.base, read.gripper), plan(read)
    goal = []
    names = ("spoon_on_towel", "carrot_on_plate", "stack_cube", "eggplant_in_basket")
    for _ in range(steps or protocol.steps(spec.suite, names[task_id])):
        goal.append(env.step(controller.action(read.gripper, next(targets)), observe=True))
        read.update(env.observation().privileged)
    return Rollout(goal, dict(env.measures()))
