"""What to type: an argument where the policy has one, a command for servers of nora-bench, code elsewhere."""

import pytest
from nora_bench.envs import protocols, suites
from nora_bench.harness.conventions.hypotheses import OBSERVATIONS, gripper_faults, longer_than_trained
from nora_bench.harness.conventions.selection import Subject, action_hypotheses, fix, observation_hypotheses
from nora_bench.policies.base import BasePolicy, ObservationSpec
from nora_bench.policies.nora.checkpoint import BUNDLED
from nora_bench.policies.nora.policy import NoraPolicy
from synthetic_moments import Reader, moments

SUITE, PROTOCOL = suites.get("libero_object"), protocols.get("libero/openvla")
CROP = next(one for one in OBSERVATIONS if one.name == "image-crop-unwanted")


def subject(policy=None, name="synthetic_moments:Reader"):
    return Subject(name, {}, policy or Reader(), SUITE, PROTOCOL)


def test_argument_of_the_policy_is_named():
    assert fix(CROP, subject(name=str(BUNDLED))) == "add --policy-arg crop=false"
    assert fix(longer_than_trained(5), subject(name="nora-1.5-nano")) == "add --policy-arg n_action_steps=5"


def test_code_is_named_where_the_policy_has_no_argument():
    assert fix(CROP, subject()).startswith("in the code of policy synthetic_moments:Reader: ")


class Served(BasePolicy):
    declared = {"nora_bench": {"policy": "nora-1.5-nano"}}  # noqa: RUF012


def test_server_of_nora_bench_is_restarted_with_an_argument():
    found = fix(longer_than_trained(5), subject(Served(), "ws://127.0.0.1:8000"))
    assert found == "restart the server: nora-bench serve --policy nora-1.5-nano --policy-arg n_action_steps=5"


def test_code_of_another_server_is_to_be_changed():
    found = fix(CROP, subject(BasePolicy(), "vla-eval://gpu:8000"))
    assert found.startswith("in the server's code (vla-eval://gpu:8000)")


def test_statistics_of_another_data_set_are_among_the_hypotheses():
    policy = NoraPolicy(str(BUNDLED), statistics="bridge_orig")
    found = {one.name: one for one in action_hypotheses(subject(policy), 10, moments(1, 1))}
    own = found["statistics-libero_object"]
    assert fix(own, subject(policy, str(BUNDLED))) == "add --policy-arg statistics=libero_object"


def test_statistics_of_an_unknown_policy_are_compared_with_the_published_ones():
    names = {one.name for one in action_hypotheses(subject(), 4, moments(1, 1))}
    assert {"statistics-bridge_orig", "statistics-none", "statistics-twice"} <= names


def test_hypotheses_fit_what_the_policy_observes():
    groups = {one.group for one in observation_hypotheses(subject(), moments(1, 1))}
    assert groups == {"image", "instruction"}
    both = Reader(cameras=("primary", "wrist"))
    both.observation_spec = ObservationSpec(cameras=("primary", "wrist"), proprio=True)
    assert {"camera", "state"} <= {one.group for one in observation_hypotheses(subject(both), moments(1, 1))}


@pytest.mark.parametrize(("convention", "closed"), [("open=-1 close=+1", 1.0), ("open=+1 close=-1", -1.0)])
def test_gripper_range_follows_the_suites_convention(convention, closed):
    import numpy as np

    opening = next(one for one in gripper_faults(convention) if one.name == "gripper-0-1-opening")
    assert opening.act(np.zeros((1, 7)), None)[0, -1] == closed  # 0 is closed


def test_commands_that_are_changes_have_no_gripper_hypotheses():
    assert not list(gripper_faults("change: close>0 open<0"))


def test_names_of_hypotheses_are_unique():
    names = [one.name for one in (*OBSERVATIONS, *action_hypotheses(subject(), 16, moments(1, 1)))]
    assert len(names) == len(set(names))
