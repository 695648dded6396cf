from types import SimpleNamespace

import pytest
from nora_bench.harness.conventions.offer import below, offers

RUN = {
    "policy": {"name": "mine:Policy", "args": {"speed": "0.2"}, "needs": {"cameras": ["primary"]}},
    "protocol": {"name": "libero/openvla"},
    "suites": ["libero_goal"],
    "config": {"assets": "standin", "protocol": None},
}


def records(*outcomes, perturbation=""):
    return [SimpleNamespace(suite="libero_goal", success=outcome, perturbation=perturbation) for outcome in outcomes]


def test_run_without_success_gets_the_command_to_type():
    (line,) = offers(RUN, records(*[False] * 5))
    assert line.endswith("nora-bench diagnose --policy mine:Policy --policy-arg speed=0.2 --suite libero_goal --assets standin")


@pytest.mark.parametrize(
    ("successes", "episodes", "offered"),
    [(0, 4, False), (0, 5, True), (5, 50, True), (28, 50, False), (45, 50, False)],
)
def test_diagnosis_is_offered_below_the_blind_floor(successes, episodes, offered):
    assert bool(below(successes, episodes, (61, 100))) is offered


def test_without_a_floor_only_no_success_counts():
    assert not below(1, 100, None)
    assert below(0, 100, None)


def test_errors_do_not_count():
    assert not list(offers(RUN, records(False, False, None, None, None)))


def test_perturbed_episodes_do_not_count():
    assert not list(offers(RUN, [*records(*[False] * 9, perturbation="camera3"), *records(*[True] * 9)]))


@pytest.mark.parametrize(
    "other",
    [{"policy": {**RUN["policy"], "needs": {"cameras": []}}}, {"protocol": {"name": "toy/plain"}}],
)
def test_policies_without_cameras_and_suites_without_expert_get_no_offer(other):
    assert not list(offers({**RUN, **other}, records(*[False] * 9)))
