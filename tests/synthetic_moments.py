"""Moments without a simulator: the image encodes the expert's actions, so that a policy can read them off."""

from __future__ import annotations

import numpy as np
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvObservation, EpisodeSpec, ObservationSpec
from nora_bench.harness.conventions.diagnosis import Examination
from nora_bench.harness.conventions.moments import Moment, padded
from nora_bench.harness.conventions.querying import Queries
from nora_bench.harness.conventions.selection import Subject
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation, PolicyContext

SIDE, STEPS = 16, 4
INSTRUCTION = "pick up the bowl"
PROTOCOL, SUITE = protocols.get("libero/openvla"), suites.get("libero_object")


def encoded(actions):
    """An image whose red channel holds the actions in its first 7 rows and 4 columns; no symmetry maps it to itself."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:7, :STEPS, 0] = np.round((actions.T + 1) * 127.5)
    image[12:, 12:, 2] = 40
    return image


def decoded(image):
    return image[:7, :STEPS, 0].T / 127.5 - 1


def moments(episodes=6, each=5):
    """Moments of smooth random motion in [-0.5, 0.5] with a gripper of -1 or 1."""
    rng = np.random.default_rng(1)
    out = []
    for episode in range(episodes):
        for step in range(each):
            actions = rng.uniform(-0.5, 0.5, (STEPS, 7))
            actions[:, 6] = np.where(rng.random(STEPS) < 0.5, -1.0, 1.0)
            seen = EnvObservation(
                {"primary": encoded(actions), "wrist": np.full((SIDE, SIDE, 3), 90, np.uint8)},
                {"eef_quat": np.array([0.6, 0.0, 0.0, 0.8]), "gripper_qpos": np.zeros(2)},
            )
            spec = EpisodeSpec("libero_object", 0, episode, 0, PROTOCOL.name)
            out.append(Moment(Observation(spec, 0, step, INSTRUCTION, seen), padded(actions)))
    return out


class Reader(BasePolicy):
    """Reads the actions off the image, unless the instruction is another one; with a fault before or after."""

    observation_spec = ObservationSpec(cameras=("primary",))

    def __init__(self, observe=None, act=None, instruction=INSTRUCTION, camera="primary", cameras=("primary",)):
        self.observe, self.act_fault, self.instruction, self.camera = observe, act, instruction, camera
        self.observation_spec = ObservationSpec(cameras=cameras)
        self.keys: list[str] = []

    def act_one(self, observation):
        self.keys.append(observation.key)
        seen = self.observe(observation) if self.observe else observation
        actions = decoded(seen.images[self.camera])
        if seen.instruction != self.instruction:
            actions = np.roll(actions, 3, axis=1)
        return ActionChunk(self.act_fault(actions, observation) if self.act_fault else actions)


def diagnosis_of(policy, tmp_path, given=None):
    """The diagnosis of a policy at the synthetic moments."""
    host = LocalPolicyHost(policy, tmp_path / "policy.log")
    host.setup(PolicyContext(PROTOCOL, (SUITE.name,), 7))
    subject = Subject("synthetic:Reader", {}, policy, SUITE, PROTOCOL)
    return Examination(subject, given or moments()).diagnose(Queries(host, policy.observation_spec))
