"""The shipped nano model with one planted fault, at moments of LIBERO's expert, and the command line around it."""

import json
from dataclasses import replace

import pytest
from nora_bench.harness.conventions import corrections as to
from nora_bench.harness.conventions.diagnose import prepare
from nora_bench.harness.conventions.diagnosis import Examination
from nora_bench.harness.conventions.episodes import run_episodes
from nora_bench.harness.conventions.querying import Queries
from nora_bench.harness.conventions.recording import recorded_moments
from nora_bench.harness.conventions.report import Request
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.policies.base import PolicyContext
from nora_bench.policies.nora.nano_policy import BundledNano

pytestmark = pytest.mark.libero


class UpsideDown(BundledNano):
    """Nano with images upside down."""

    def act(self, observations):
        return super().act([to.images(lambda image: image[::-1])(one) for one in observations])


@pytest.mark.slow
def test_images_upside_down_are_named_for_nano(tmp_path):
    policy = UpsideDown()
    prepared = prepare(Request("test:UpsideDown", {}, "libero_object", assets="standin"), policy)
    first_task = [spec for spec in prepared.recording.expert.plan.episodes if spec.task_id == 0]
    expert = replace(prepared.recording.expert, plan=replace(prepared.recording.expert.plan, episodes=tuple(first_task)))
    moments, _ = recorded_moments(replace(prepared.recording, expert=expert, episodes=3, moments=9), run_episodes)
    host = LocalPolicyHost(policy, tmp_path / "policy.log")
    host.setup(PolicyContext(prepared.subject.protocol, ("libero_object",), 7))
    diagnosis = Examination(prepared.subject, moments).diagnose(Queries(host, policy.observation_spec))
    assert diagnosis.best.hypothesis.name == "image-flip-vertical"
    assert diagnosis.best.skill.mean > 0.5


def test_diagnosis_of_a_group_of_suites_is_rejected(cli):
    ended = cli("diagnose", "--suite", "libero", "--policy", "zero", "--assets", "standin")
    assert ended.code == 2
    assert "--suite" in ended.err


def test_too_many_pairs_of_episodes_are_rejected(cli):
    ended = cli("diagnose", "--suite", "libero_object", "--policy", "zero", "--confirm", "21", "--json")
    assert ended.code == 2
    assert not ended.out or json.loads(ended.out)
