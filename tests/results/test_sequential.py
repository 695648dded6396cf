import math
import time

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.results.sequential import interval, log_evidence, log_wealth, make_rule, parse, rounds

ALPHA = 0.05
RUNS = 10_000
# Rates of ten tasks: all alike, near the top, and as far apart as they get
RATES = {"alike": [0.9] * 10, "high": [0.99] * 10, "mixed": [1.0] * 5 + [0.97, 0.9, 0.8, 0.5, 0.0]}


def plan(tasks=2, inits=5, seeds=1):
    return [EpisodeSpec("s", t, i, seed, "p") for t in range(tasks) for i in range(inits) for seed in range(seeds)]


def outcomes(episodes, success=lambda spec: True):
    return {spec.key: success(spec) for spec in episodes}


def test_a_round_has_one_initial_state_of_every_task_with_all_its_seeds():
    first = rounds(plan(tasks=3, inits=4, seeds=2))[0]
    assert [seeds[0].task_id for seeds in first] == [0, 1, 2]
    assert {len(seeds) for seeds in first} == {2}


def test_rounds_hold_every_planned_episode_once():
    keys = [spec.key for one in rounds(plan(seeds=3)) for seeds in one for spec in seeds]
    assert sorted(keys) == sorted(spec.key for spec in plan(seeds=3))


def test_the_order_of_initial_states_is_drawn_and_the_same_every_time():
    orders = [[one[0][0].init_state for one in rounds(plan(inits=20))] for _ in range(2)]
    assert orders[0] == orders[1] != sorted(orders[0])


def test_what_finished_out_of_order_is_not_looked_at():
    late = rounds(plan())[1]
    verdict = make_rule("width<2", plan()).update(outcomes([spec for seeds in late for spec in seeds]))
    assert verdict.rounds == 0


def test_a_round_with_an_error_is_left_out():
    rule = make_rule("width<2", plan())
    bad = rounds(plan())[0][0][0].key
    assert rule.update({**outcomes(plan()), bad: None}).rounds == 4


def test_outcomes_may_come_one_by_one():
    rule = make_rule("width<60", plan(tasks=1, inits=20))
    verdicts = [rule.update({spec.key: True}) for spec in plan(tasks=1, inits=20)]
    assert verdicts[-1].rounds == 20
    assert verdicts[-1].stop


def test_a_clear_result_stops_early_and_says_what_it_saved():
    episodes = plan(tasks=10, inits=50)
    rule = make_rule("width<10", episodes)
    verdict = next(v for v in (rule.update(outcomes([s for seeds in one for s in seeds])) for one in rounds(episodes)) if v.stop)
    assert 0.5 < verdict.saved < 0.95
    assert verdict.saved == pytest.approx(1 - verdict.episodes / 500)


def test_a_better_policy_stops_early():
    episodes = plan(tasks=10, inits=50)
    rule = make_rule("mine>runs/other", episodes, outcomes(episodes, lambda spec: spec.init_state % 2 == 0))
    assert rule.update(outcomes(episodes[:])).stop


def test_looking_after_every_episode_is_cheap():
    episodes = plan(tasks=40, inits=50)
    rule = make_rule("width<2", episodes)
    started = time.process_time()
    for spec in episodes:
        rule.update({spec.key: True})
    assert time.process_time() - started < 2


def test_an_equal_policy_never_stops():
    episodes = plan(tasks=10, inits=50)
    rule = make_rule("mine>runs/other", episodes, outcomes(episodes))
    assert not rule.update(outcomes(episodes)).stop


def test_a_rival_that_lacks_scenes_is_refused():
    with pytest.raises(ValueError, match="has not played 5 of the planned scenes"):
        make_rule("A>runs/B", plan(tasks=2), outcomes(plan(tasks=1)))


@pytest.mark.parametrize(
    ("text", "parsed"),
    {"width<2": (2, None), "width < 0.5%": (0.5, None), "A>runs/B": (None, "runs/B"), ">B": (None, "B")}.items(),
)
def test_conditions_are_parsed(text, parsed):
    assert parse(text) == parsed


@pytest.mark.parametrize("text", ["width>2", "width<", "width<0", "width<200", "A<B", "", "A>B>C"])
def test_other_conditions_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write for example"):
        parse(text)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (37, 50), (480.5, 500)])
def test_the_bounds_are_where_the_evidence_reaches_its_bar(k, n):
    for bound in interval(k, n):
        assert bound in (0.0, 1.0) or log_evidence(k, n, bound) == pytest.approx(math.log(20), abs=1e-6)


def test_an_interval_that_may_be_looked_at_any_time_is_wider():
    from nora_bench.results.stats import clopper_pearson

    low, high = interval(450, 500)
    assert high - low > np.diff(clopper_pearson(450, 500))[0]


def draw(rates, rng, seeds=1, rounds=50):
    """[runs, rounds] successes of a round, all tasks together, seeds averaged."""
    return sum(rng.binomial(seeds, p, (RUNS, rounds)) / seeds for p in rates)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_the_interval_holds_the_rate_at_all_times_in_95_of_100_runs(rates, seeds):
    """10,000 runs of 50 rounds, looked at after every round."""
    from scipy.special import betaln, xlogy

    k = draw(rates, np.random.default_rng(11), seeds).cumsum(axis=1)
    n, p = len(rates) * np.arange(1, 51), float(np.mean(rates))
    evidence = betaln(k + 0.5, n - k + 0.5) - betaln(0.5, 0.5) - xlogy(k, p) - xlogy(n - k, 1 - p)
    assert evidence[0, -1] == pytest.approx(log_evidence(k[0, -1], n[-1], p))
    assert np.mean((evidence >= math.log(1 / ALPHA)).any(axis=1)) <= ALPHA


@pytest.mark.parametrize("spread", [0.0, 0.3], ids=["tasks alike", "tasks apart"])
@pytest.mark.parametrize("rate", [0.5, 0.05])
def test_equal_policies_are_told_apart_in_at_most_5_of_100_runs(rate, spread):
    """10,000 runs of 30 rounds of 4 tasks; A wins on some tasks what B wins on others."""
    rng = np.random.default_rng(13)
    shifts = spread * rate * np.array([1, 1, -1, -1])
    a, b = (rng.random((RUNS, 30, 4)) < rate + sign * shifts for sign in (1, -1))
    found = sum(log_wealth(d).max() >= math.log(1 / ALPHA) for d in (a.astype(float) - b))
    assert found / RUNS <= ALPHA


def test_looking_after_every_round_with_an_ordinary_interval_would_cheat():
    """The same 10,000 runs judged by Wilson's interval: what the rules are for."""
    from nora_bench.results.stats import quantile

    k = draw(RATES["alike"], np.random.default_rng(11)).cumsum(axis=1)
    n, z2, p = 10 * np.arange(1, 51), quantile(0.95) ** 2, 0.9
    outside = (k / n - p) ** 2 > z2 * p * (1 - p) / n
    assert np.mean(outside.any(axis=1)) > 0.2
