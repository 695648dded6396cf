from dataclasses import replace

import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import ROTATED, UNROTATED, ObservationSpec
from nora_bench.envs.errors import ExitCode, PolicyError
from nora_bench.envs.libero.suite import ACTION_SPEC, PROPRIO_SPEC, libero_goal
from nora_bench.envs.simpler.suite import simpler_vm, simpler_widowx
from nora_bench.envs.specs import OPEN_ONE, ActionDim, ProprioSpec
from nora_bench.harness.config import parse
from nora_bench.harness.planning.resolve import resolve_run
from nora_bench.harness.planning.spec_check import WHERE, SpecMismatch, check_specs
from nora_bench.policies.adapters import adapted_spec
from nora_bench.policies.base import BasePolicy
from nora_bench.policies.remote.messages import STATE_SPEC
from nora_bench.policies.scripted.policy import ScriptedPolicy
from test_layers import ROOT

LIBERO, SIMPLER = protocols.get("libero/openvla"), protocols.get("simpler/nora-1.5")


def check(*, suite=libero_goal, protocol=LIBERO, actions=None, **observation):
    policy = BasePolicy()
    policy.action_spec, policy.observation_spec = actions, ObservationSpec(**observation)
    check_specs([suite], protocol, policy, "mine")


def mismatch(**values):
    with pytest.raises(SpecMismatch) as caught:
        check(**values)
    return caught.value


def with_gripper(**changes):
    return (*ACTION_SPEC[:-1], replace(ACTION_SPEC[-1], **changes))


def test_undeclared_specs_pass():
    check(cameras=("primary",), proprio=True)


def test_equal_specs_pass():
    check(
        actions=ACTION_SPEC,
        cameras=("primary", "wrist"),
        proprio=True,
        orientation=ROTATED,
        proprio_spec=PROPRIO_SPEC,
    )


def test_range_within_the_suites_passes():
    check(actions=with_gripper(low=-0.5, high=0.5))


@pytest.mark.parametrize(("suite", "protocol"), [(libero_goal, LIBERO), (simpler_vm, SIMPLER)], ids=["libero", "simpler"])
def test_scripted_policy_matches_both_families(suite, protocol):
    check_specs([suite], protocol, ScriptedPolicy(), "scripted")


@pytest.mark.parametrize(
    "protocol", [protocols.get(name) for name in protocols.names()], ids=lambda protocol: protocol.name.replace("/", "-")
)
def test_adapter_of_every_protocol_matches_its_suite(protocol):
    on_table = simpler_widowx if protocol.name.startswith("simpler/widowx") else simpler_vm
    suite = libero_goal if protocol.family == "libero" else on_table
    check(suite=suite, protocol=protocol, actions=adapted_spec(protocol, 7))


def test_other_gripper_convention_is_named_on_both_sides():
    error = mismatch(actions=with_gripper(convention=OPEN_ONE))
    assert (error.part, error.dimension) == ("action", "gripper")
    assert (error.policy_side, error.suite_side) == (OPEN_ONE, ACTION_SPEC[-1].convention)
    assert "action[6] (gripper)" in str(error) and error.exit_code == ExitCode.BAD_INPUT


def test_protocol_with_another_gripper_command_is_named():
    widowx = replace(LIBERO, gripper="widowx")
    assert mismatch(protocol=widowx, actions=adapted_spec(widowx, 7)).dimension == "gripper"


def test_other_number_of_dimensions_is_named():
    error = mismatch(actions=ACTION_SPEC[:6])
    assert (error.part, error.policy_side, error.suite_side) == ("action", 6, 7)


@pytest.mark.parametrize("change", [{"unit": "m"}, {"frame": "base"}, {"name": "x"}, {"low": -2.0}])
def test_other_unit_frame_name_or_range_is_named(change):
    error = mismatch(actions=(replace(ACTION_SPEC[0], **change), *ACTION_SPEC[1:]))
    assert (error.part, error.dimension) == ("action", "dx")


def test_missing_camera_is_named():
    error = mismatch(suite=simpler_vm, protocol=SIMPLER, cameras=("primary", "wrist"))
    assert (error.part, error.dimension, error.suite_side) == ("camera", "wrist", ("primary",))


def test_other_image_size_is_named_where_the_suite_fixes_it():
    error = mismatch(suite=simpler_vm, protocol=SIMPLER, cameras=("primary",), image_size=224)
    assert (error.part, error.policy_side, error.suite_side) == ("image_size", 224, SIMPLER.image_size)
    check(cameras=("primary",), image_size=224)


@pytest.mark.parametrize("change", [{"high": None, "low": -2.0}, {"low": None, "high": 2.0}])
def test_single_declared_bound_is_compared(change):
    assert mismatch(actions=with_gripper(**change)).dimension == "gripper"


def test_narrower_gripper_range_without_a_convention_is_named():
    error = mismatch(actions=with_gripper(low=0.0, high=1.0, convention=""))
    assert (error.dimension, error.policy_side, error.suite_side) == ("gripper", (0.0, 1.0), (-1.0, 1.0))


class FaultySpec(BasePolicy):
    def action_spec_under(self, protocol):
        raise ValueError("x")


class TextSpec(BasePolicy):
    def action_spec_under(self, protocol):
        return "abc"


@pytest.mark.parametrize("policy", [FaultySpec(), TextSpec()], ids=["raises", "text"])
def test_fault_of_action_spec_under_is_the_policys(policy):
    with pytest.raises(PolicyError) as caught:
        check_specs([libero_goal], LIBERO, policy, "mine")
    assert caught.value.exit_code == ExitCode.POLICY and "mine" in str(caught.value)


def test_message_names_a_heading_of_the_policy_page():
    page, _, heading = WHERE.partition(", ")
    assert f"## {heading}" in (ROOT / page).read_text(encoding="utf-8").splitlines()


def test_other_orientation_is_named():
    error = mismatch(cameras=("primary",), orientation=UNROTATED)
    assert (error.part, error.policy_side, error.suite_side) == ("orientation", UNROTATED, ROTATED)


def test_other_quaternion_order_is_named():
    error = mismatch(suite=simpler_vm, protocol=SIMPLER, proprio=True, proprio_spec=STATE_SPEC)
    assert (error.part, error.dimension) == ("proprio", "eef_quat")
    assert (error.policy_side, error.suite_side) == ("quaternion_xyzw", "quaternion_wxyz")


def test_missing_vector_is_named():
    error = mismatch(proprio=True, proprio_spec=(ProprioSpec("torques", 7),))
    assert (error.part, error.dimension) == ("proprio", "torques")


def test_run_is_refused_before_its_first_episode(tmp_path):
    policy = BasePolicy()
    policy.action_spec = (ActionDim("gripper", convention=OPEN_ONE),)
    with pytest.raises(SpecMismatch):
        resolve_run(parse({"suite": "libero_goal", "out": str(tmp_path / "run")}), policy)
