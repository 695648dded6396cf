"""What a policy declares of its actions and observations against what suite and protocol declare.

Compared before the first episode. An undeclared part is never a mismatch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...envs.base import ROTATED, UNROTATED, EvalProtocol, ObservationSpec, Suite
from ...envs.errors import InputError, NoraBenchError, PolicyError
from ...envs.specs import ActionDim, action_spec_problem
from ...policies.base import Policy

WHERE = "docs/guide/policies.md, Meaning of actions and observations"


class SpecMismatch(InputError, PolicyError):
    """A policy and a suite declare different things.

    Attributes:
        part: `camera`, `image_size`, `orientation`, `proprio` or `action`.
        dimension: the camera, the vector or the number of an action at fault; empty for all of them.
        policy_side, suite_side: what each declares.
    """

    exit_code = InputError.exit_code

    def __init__(self, part: str, dimension: str, policy_side: object, suite_side: object, message: str) -> None:
        super().__init__(message, option="--policy", value=policy_side)
        self.part, self.dimension, self.policy_side, self.suite_side = part, dimension, policy_side, suite_side


def check_specs(suites: Sequence[Suite], protocol: EvalProtocol, policy: Policy, name: str) -> None:
    """Raises SpecMismatch for the first declaration of the policy that differs from a suite's or the protocol's.

    PolicyError where its `action_spec_under` raises or returns something else.

    Args:
        suites: of the run.
        protocol: of the run.
        policy: the policy.
        name: its name, for messages.
    """
    actions = _actions_under(protocol, policy, name)
    for suite in suites:
        _check_cameras(suite, policy.observation_spec, name)
        _check_image_size(suite, protocol, policy.observation_spec, name)
        _check_orientation(protocol, policy.observation_spec, name)
        _check_proprio(suite, policy.observation_spec, name)
        if actions is not None and suite.action_spec:
            _check_actions(suite, actions, name)


def _actions_under(protocol: EvalProtocol, policy: Policy, name: str) -> tuple[ActionDim, ...] | None:
    try:
        actions = policy.action_spec_under(protocol)
    except NoraBenchError:
        raise
    except Exception as error:
        raise PolicyError(f"policy {name}: action_spec_under raised {type(error).__name__}: {error}") from error
    if actions is not None and (problem := action_spec_problem(actions)):
        raise PolicyError(f"policy {name}: action_spec_under: {problem}")
    return actions


def _check_cameras(suite: Suite, wanted: ObservationSpec, name: str) -> None:
    if missing := [camera for camera in wanted.cameras if camera not in suite.cameras]:
        raise SpecMismatch(
            "camera",
            missing[0],
            wanted.cameras,
            tuple(suite.cameras),
            f"{suite.name} has no {' and no '.join(missing)} camera, which the policy wants; it has {', '.join(suite.cameras)}. "
            f"Name another policy than {name} (nora-bench list policies), or another suite (nora-bench list suites)",
        )


def _check_image_size(suite: Suite, protocol: EvalProtocol, wanted: ObservationSpec, name: str) -> None:
    if suite.fixed_image_size and wanted.cameras and wanted.image_size not in (None, protocol.image_size):
        raise SpecMismatch(
            "image_size",
            "",
            wanted.image_size,
            protocol.image_size,
            f"policy {name} takes images of {wanted.image_size} px, {suite.name} gives them as its protocol {protocol.name} says "
            f"({protocol.image_size} px wide). Resize them in the policy and declare image_size=None ({WHERE})",
        )


def _check_orientation(protocol: EvalProtocol, wanted: ObservationSpec, name: str) -> None:
    given = ROTATED if protocol.rotate_180 else UNROTATED
    if wanted.cameras and wanted.orientation and wanted.orientation != given:
        raise SpecMismatch(
            "orientation",
            "",
            wanted.orientation,
            given,
            f"policy {name} takes images {wanted.orientation}, protocol {protocol.name} gives them {given}. Type: "
            "nora-bench list protocols, and name a protocol of the other orientation with --protocol",
        )


def _check_proprio(suite: Suite, wanted: ObservationSpec, name: str) -> None:
    if not (wanted.proprio and suite.proprio_spec):
        return
    given = {key.name: key for key in suite.proprio_spec}
    for key in wanted.proprio_spec:
        if key.name not in given:
            cause = f"the suite gives {', '.join(given)}"
            difference = ("name", key.name, tuple(given))
        elif difference := next(_differences(key, given[key.name], ("size", "unit", "frame", "convention")), None):
            cause = f"{difference[0]} is {difference[1]} for the policy and {difference[2]} in the suite"
        else:
            continue
        raise SpecMismatch(
            "proprio",
            key.name,
            difference[1],
            difference[2],
            f"policy {name} reads {key.name} of the robot's state, which {suite.name} does not give so: {cause}. Convert it in "
            f"the policy, or name another suite with --suite ({WHERE})",
        )


def _check_actions(suite: Suite, actions: Sequence[ActionDim], name: str) -> None:
    if len(actions) != len(suite.action_spec):
        raise SpecMismatch(
            "action",
            "",
            len(actions),
            len(suite.action_spec),
            f"policy {name} declares actions of {len(actions)} numbers, {suite.name} takes {len(suite.action_spec)} "
            f"({', '.join(dim.name for dim in suite.action_spec)}). Name another policy with --policy ({WHERE})",
        )
    for index, (own, taken) in enumerate(zip(actions, suite.action_spec, strict=True)):
        for field, policy_side, suite_side in _differences(own, taken, ("name", "unit", "frame", "convention")):
            raise _action_mismatch(suite, name, index, taken, field, policy_side, suite_side)
        if not _within(own, taken) or _ambiguous_gripper(own, taken):
            raise _action_mismatch(suite, name, index, taken, "range", (own.low, own.high), (taken.low, taken.high))


def _within(own: ActionDim, taken: ActionDim) -> bool:
    """Whether each bound that both declare is within the suite's."""
    low = own.low is None or taken.low is None or taken.low <= own.low
    return low and (own.high is None or taken.high is None or own.high <= taken.high)


def _ambiguous_gripper(own: ActionDim, taken: ActionDim) -> bool:
    """Whether a policy declares a narrower range of a gripper, such as 0 to 1, and no convention that says what it means."""
    narrower = own.low not in (None, taken.low) or own.high not in (None, taken.high)
    return taken.name == "gripper" and not own.convention and narrower


def _action_mismatch(
    suite: Suite, name: str, index: int, dim: ActionDim, field: str, policy_side: object, suite_side: object
) -> SpecMismatch:
    return SpecMismatch(
        "action",
        dim.name,
        policy_side,
        suite_side,
        f"action[{index}] ({dim.name}): its {field} is {policy_side} for policy {name} and {suite_side} for {suite.name}. "
        f"Convert it in the policy, or correct or complete its action_spec (a gripper's convention); then type: "
        f"nora-bench run --suite {suite.name} --policy {name} ({WHERE})",
    )


def _differences(own: object, given: object, names: Sequence[str]) -> Iterator[tuple[str, object, object]]:
    """(field, own value, given value) of the fields that both declare and that differ."""
    for name in names:
        pair = getattr(own, name), getattr(given, name)
        if all(pair) and pair[0] != pair[1]:
            yield name, *pair
