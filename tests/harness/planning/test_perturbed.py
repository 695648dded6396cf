"""Perturbed episodes in a plan."""

from dataclasses import replace

import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.errors import InputError
from nora_bench.harness.config import parse
from nora_bench.harness.planning.perturbed import with_perturbations
from nora_bench.harness.planning.plan import make_plan, resolve_setup


def planned(**options):
    config = parse({"suite": "libero_goal", "tasks": "3", "init_states": "0-1", "assets": "standin", **options})
    return make_plan(config, resolve_setup(config), stochastic=False)


def test_control_precedes_its_perturbed_episodes():
    plan = planned(perturb="latency:50ms,latency:100ms-hold")
    assert [(spec.init_state, spec.perturbation) for spec in plan.episodes] == [
        (state, name) for state in (0, 1) for name in ("", "latency-50ms", "latency-100ms-hold")
    ]


def test_plan_without_perturbations_is_as_before():
    assert planned(perturb=None).episodes == tuple(
        spec for spec in planned(perturb="latency:50ms").episodes if not spec.perturbation
    )


class Members:
    """A suite with one scene axis that excludes initial state 1."""

    name, perturbations, control_hz = "toy", (), 0.0

    def perturbation_problem(self, spec):
        return "the expert fails" if spec.init_state == 1 else ""


def test_controls_of_another_run_are_not_planned_and_excluded_episodes_are_counted():
    suite = Members()
    suite.control_hz = 20.0
    controls = [EpisodeSpec("toy", 0, state, 0, "toy/p") for state in (0, 1, 2)]
    episodes, excluded = with_perturbations(controls, ["latency-50ms"], {"toy": suite}, {controls[0].key})
    assert episodes == [
        replace(controls[0], perturbation="latency-50ms"),
        controls[1],
        controls[2],
        replace(controls[2], perturbation="latency-50ms"),
    ]
    assert excluded == {"latency-50ms: the expert fails": 1}


def test_suite_without_control_rate_has_no_latency():
    with pytest.raises(InputError, match="control_hz"):
        with_perturbations([], ["latency-50ms"], {"toy": Members()})
