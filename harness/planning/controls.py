"""Controls of perturbed episodes that another run has (`--control RUN`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ...envs.base import AssetPack
from ...envs.errors import InputError, StoreError
from ...results.store.reader import StoredRun, read_run
from ..config import RunConfig
from .early_stopping import require_same_benchmark
from .plan import EvalSetup, Plan

OPTION = "--control"


def controls_elsewhere(config: RunConfig, setup: EvalSetup, assets: AssetPack) -> set[str]:
    """Keys of the episodes without perturbation that the run in `--control` has; empty without the option.

    Raises InputError for a run of another policy, protocol, step limit or asset pack, for a folder without a run, and
    without `--perturb`.
    """
    if config.control is None:
        return set()
    if not config.perturb:
        raise InputError("--control needs --perturb: it names the run whose episodes are the controls", option=OPTION)
    try:
        run = read_run(config.control)
    except StoreError as error:
        message = f"--control: {error}. Name the folder of the run that has the controls; --resume takes a new one, too"
        raise InputError(message, option=OPTION, value=config.control) from None
    protocol = setup.protocol.name
    plain = [one for one in run.records if one.success is not None and not one.perturbation and one.protocol == protocol]
    if not plain:
        message = f"--control {config.control}: it has no episodes under protocol {protocol} without a perturbation"
        raise InputError(f"{message}. Omit --control to run the controls, too", option=OPTION, value=config.control)
    own = [one for one in plain if one.policy == config.policy]
    _require_same_policy(config, run, sorted({one.policy for one in plain}), own_episodes=bool(own))
    advice = "Omit --control to run the controls, too, or give this run the --protocol, --max-steps and --assets of the controls."
    require_same_benchmark(
        replace(run, records=tuple(own)), setup.protocol, config.max_steps, assets, option=OPTION, advice=advice
    )
    return {one.key for one in own}


def require_controls(config: RunConfig, plan: Plan, elsewhere: Collection[str]) -> None:
    """Raise InputError where the run in `--control` has the control of none of the plan's episodes."""
    perturbed = [spec for spec in plan.episodes if spec.perturbation]
    if not elsewhere or not perturbed or any(spec.control.key in elsewhere for spec in perturbed):
        return
    raise InputError(
        f"--control {config.control}: it has no control of this plan's episodes, like {perturbed[0].control.key}. "
        "Omit --control, or choose the --suite, --tasks, --init-states and --seeds of that run",
        option=OPTION,
        value=config.control,
    )


def _require_same_policy(config: RunConfig, run: StoredRun, policies: list[str], *, own_episodes: bool) -> None:
    """Raise InputError where a run is of another policy, or of this one with other arguments; weights are compared by tables."""
    if not own_episodes:
        found = f"its policy is {', '.join(policies)}, not {config.policy}"
    elif (args := dict((run.metadata.policy or {}).get("args") or {})) != dict(config.policy_arg):
        found = f"its policy has the arguments {_text(args)}, not {_text(dict(config.policy_arg))}"
    else:
        return
    message = f"--control {config.control}: {found}, so that its episodes are no controls of this run. Omit --control, or run"
    raise InputError(f"{message} the controls with this policy", option=OPTION, value=config.control)


def _text(args: dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in args.items()) or "(none)"
