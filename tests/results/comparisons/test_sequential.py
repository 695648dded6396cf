import itertools
import math
import random
import time
from types import SimpleNamespace

import numpy as np
import pytest
from grids import draw, e_values, evidence, grid, opposed, spelled
from nora_bench.envs.base import EpisodeSpec
from nora_bench.results.comparisons.rounds import rounds
from nora_bench.results.comparisons.sequential import NEEDED, BettingProcess, interval, log_evidence, make_rule, parse, reading

ALPHA = 0.05
RUNS = 4000
GRIDS = [("libero_object", 0.0), *itertools.product(("simpler-vm", "simpler-va"), (0.0, 0.5, 1.0))]
"""Suite, and how alike the looks of an initial state are."""
SUCCEEDED, LOST, UNKNOWN = (1, 1), (0, 0), (0, 1)


def plan(tasks=2, inits=5, seeds=1, appearances=("",)):
    specs = itertools.product(range(tasks), range(inits), range(seeds), appearances)
    return [EpisodeSpec("s", task, init, seed, "p", appearance) for task, init, seed, appearance in specs]


def by_rounds(episodes):
    return rounds(episodes, 3, {(spec.suite, spec.task_id): f"task {spec.task_id}" for spec in episodes})


def rule(condition, episodes, other=None):
    return make_rule(condition, by_rounds(episodes), other)


def outcomes(episodes, outcome=lambda spec: SUCCEEDED):
    return {spec.key: outcome(spec) for spec in episodes}


def test_episodes_finished_out_of_order_are_not_evaluated():
    late = by_rounds(plan())[1]
    verdict = rule("width<2", plan()).update(outcomes(spec for entry in late for spec in entry.episodes))
    assert verdict.rounds == 0


def test_outcomes_may_come_one_by_one():
    one_by_one = rule("width<60", plan(tasks=1, inits=20))
    verdicts = [one_by_one.update({spec.key: SUCCEEDED}) for spec in plan(tasks=1, inits=20)]
    assert verdicts[-1].stop
    assert verdicts[-1] == rule("width<60", plan(tasks=1, inits=20)).update(outcomes(plan(tasks=1, inits=20)))


def test_a_clear_result_stops_early_and_says_what_it_saved():
    verdict = rule("width<10", plan(tasks=10, inits=50)).update(outcomes(plan(tasks=10, inits=50)))
    assert (verdict.stop, verdict.reason) == (True, "width")
    assert 0.5 < verdict.saved < 0.95
    assert verdict.saved == pytest.approx(1 - verdict.episodes / 500)


@pytest.mark.parametrize("condition", ["width<5", "A>B"])
@pytest.mark.parametrize("first", [SUCCEEDED, LOST, UNKNOWN])
def test_verdict_after_a_round_is_independent_of_the_finishing_order(condition, first):
    rng = random.Random(5)
    episodes = plan(tasks=4, inits=30, appearances=("red", "blue"))
    mine, other = ({spec.key: rng.choice((SUCCEEDED, SUCCEEDED, LOST, UNKNOWN)) for spec in episodes} for _ in range(2))
    ordered = [spec.key for one in by_rounds(episodes) for entry in one for spec in entry.episodes]

    def said(keys):
        found = rule(condition, episodes, other)
        return {verdict.rounds: verdict for verdict in (found.update({key: mine[key]}) for key in keys)}

    planned, biased = said(ordered), said(sorted(ordered, key=lambda key: mine[key] != first))
    assert biased.items() <= planned.items()
    assert max(biased) == max(planned) > 5


@pytest.mark.parametrize(
    ("mine", "other", "reason"), [(SUCCEEDED, LOST, "better"), (LOST, SUCCEEDED, "worse"), (SUCCEEDED, SUCCEEDED, "futile")]
)
def test_a_comparison_says_why_it_stops(mine, other, reason):
    episodes = plan(tasks=10, inits=50)
    verdict = rule("A>runs/B", episodes, outcomes(episodes, lambda spec: other)).update(outcomes(episodes, lambda spec: mine))
    assert (verdict.stop, verdict.reason) == (True, reason)
    assert verdict.saved > 0.3


def test_better_and_worse_mirror_each_other():
    episodes = plan(tasks=10, inits=50)
    rng = random.Random(2)
    a, b = ({spec.key: rng.choice((SUCCEEDED, LOST)) for spec in episodes} for _ in range(2))
    one, other = rule("A>B", episodes, b).update(a), rule("B>A", episodes, a).update(b)
    assert (one.e_better, one.e_worse) == (other.e_worse, other.e_better)


def test_a_comparison_that_can_still_go_either_way_is_not_given_up():
    """A difference of 8 points, hidden in the first rounds, is worth waiting for."""
    rng = np.random.default_rng(3)
    bet, size = BettingProcess(), np.ones(10)
    for _ in range(5):
        bet.add((rng.random(10) < 0.9).astype(float) - (rng.random(10) < 0.9), size)
    assert bet.chance(450) > 0.05 > bet.chance(20)


def test_an_e_value_is_never_infinite():
    bet = BettingProcess()
    bet.add(np.ones(5000), np.ones(5000))
    assert math.isfinite(bet.e_value)


def test_the_wealth_of_two_runs_adds_up_to_that_of_one():
    """What lets evidence of independent runs be put together: a sum for each stake, or the product of the e-values."""
    rng = random.Random(4)
    runs = [plan(tasks=10, inits=50, seeds=2)[seed::2] for seed in range(2)]
    mine, other = ({spec.key: rng.choice((SUCCEEDED, LOST)) for run in runs for spec in run} for _ in range(2))
    whole, parts = BettingProcess(), []
    for run in runs:
        begun = [entry.episodes[0].key for one in by_rounds(run)[:3] for entry in one]
        parts.append(rule("A>B", run, other).update({key: mine[key] for key in begun}))
        whole.add(np.array([mine[key][0] - other[key][1] for key in begun], float), np.ones(30))
    assert [part.rounds for part in parts] == [3, 3]
    assert np.add(*(part.log_wealth_better for part in parts)) == pytest.approx(whole.log_wealth)


@pytest.mark.parametrize("error", [LOST, SUCCEEDED])
def test_an_error_moves_no_bound_inwards_whatever_the_episode_would_have_been(error):
    episodes = plan(tasks=4, inits=10)
    mine = outcomes(episodes, lambda spec: SUCCEEDED if spec.init_state % 3 else LOST)
    spoilt = {key: UNKNOWN if index % 7 == 0 else value for index, (key, value) in enumerate(mine.items())}
    settled = {key: error if value == UNKNOWN else value for key, value in spoilt.items()}
    with_errors, without = (rule("width<2", episodes).update(found) for found in (spoilt, settled))
    assert with_errors.low <= without.low
    assert with_errors.high >= without.high
    assert with_errors.rounds == 10


def test_losing_what_would_fail_helps_no_claim():
    """A policy that loses its failures gets the evidence that failures would have given, and its rival's likewise."""
    episodes = plan(tasks=4, inits=10)
    rng = random.Random(6)
    a, b = ({spec.key: rng.choice((SUCCEEDED, LOST)) for spec in episodes} for _ in range(2))
    lost = {key: UNKNOWN if value == LOST else value for key, value in a.items()}
    honest, cheat = rule("A>B", episodes, b).update(a), rule("A>B", episodes, b).update(lost)
    assert (cheat.e_better, cheat.e_worse < honest.e_worse) == (honest.e_better, True)
    assert rule("B>A", episodes, lost).update(b).e_worse == honest.e_better


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (SimpleNamespace(success=True), SUCCEEDED),
        (SimpleNamespace(success=False), LOST),
        (SimpleNamespace(success=None), UNKNOWN),
        (SimpleNamespace(success=True, policy_losses=0), SUCCEEDED),
        (SimpleNamespace(success=True, policy_losses=1), UNKNOWN),
        (SimpleNamespace(success=False, policy_losses=1), LOST),
    ],
)
def test_a_record_is_read_as_all_that_it_may_be(record, expected):
    assert reading(record) == expected


def test_looking_after_every_episode_is_cheap():
    episodes = plan(tasks=40, inits=50)
    slow = rule("width<2", episodes)
    started = time.process_time()
    for spec in episodes:
        slow.update({spec.key: SUCCEEDED})
    assert time.process_time() - started < 2


def test_a_rival_that_lacks_scenes_is_refused():
    with pytest.raises(ValueError, match="lacks 5 of the planned scenes"):
        rule("A>runs/B", plan(tasks=2), outcomes(plan(tasks=1)))


@pytest.mark.parametrize(
    ("text", "parsed"),
    {"width<2": (2, None), "width < 0.5%": (0.5, None), "A>runs/B": (None, "runs/B"), ">B": (None, "B")}.items(),
)
def test_conditions_are_parsed(text, parsed):
    assert parse(text) == parsed


@pytest.mark.parametrize("text", ["width>2", "width<", "width<0", "width<200", "A<B", "", "A>B>C"])
def test_other_conditions_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match="not a stopping rule"):
        parse(text)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (37, 50), (480.5, 500)])
def test_the_bounds_are_where_the_evidence_reaches_its_bar(k, n):
    for bound in interval(k, n):
        assert bound in (0.0, 1.0) or log_evidence(k, n, bound) == pytest.approx(math.log(20), abs=1e-6)


def test_an_interval_that_may_be_looked_at_any_time_is_wider():
    from nora_bench.results.statistics.intervals import clopper_pearson

    low, high = interval(450, 500)
    assert high - low > np.diff(clopper_pearson(450, 500))[0]


def test_simulations_take_the_evidence_that_the_rule_takes():
    on = grid("simpler-vm")
    rng = np.random.default_rng(1)
    a, b = (draw(on.rates(), on.appearances, 0.0, 1, rng) for _ in range(2))
    whole = make_rule("A>B", on.plan, spelled(on, b[0]))
    verdict = whole.update(spelled(on, a[0]))
    at = verdict.rounds - 1
    assert verdict.e_better == pytest.approx(e_values(on, a - b)[0, at])
    assert log_evidence(whole.low, whole.size, 0.7) == pytest.approx(evidence(on, a, 0.7)[0, at])


@pytest.mark.parametrize(("suite", "alike"), GRIDS)
def test_the_interval_holds_the_tables_rate_at_all_times_in_95_of_100_runs(suite, alike):
    """Looked at after every round, tasks far apart, looks of a state from independent to the same."""
    on = grid(suite)
    rng = np.random.default_rng(11)
    for rates in (on.rates(), np.full(len(on.appearances), 0.9), np.full(len(on.appearances), 0.99)):
        found = evidence(on, draw(rates, on.appearances, alike, RUNS, rng), on.mean(rates))
        assert np.mean((found >= math.log(1 / ALPHA)).any(axis=1)) <= ALPHA


@pytest.mark.parametrize(("suite", "alike"), [grid for grid in GRIDS if grid[1] != 0.5])
def test_equal_policies_differ_in_at_most_5_of_100_runs(suite, alike):
    """Equal on every task, and equal in the mean alone: A wins on some tasks what B wins on others."""
    on = grid(suite)
    rng = np.random.default_rng(13)
    for rates, other in ((on.rates(), on.rates()), (opposed(on), 1 - opposed(on))):
        assert on.mean(rates) == pytest.approx(on.mean(other))
        differences = draw(rates, on.appearances, alike, 400, rng) - draw(other, on.appearances, alike, 400, rng)
        claims = [e_values(on, side * differences).max(axis=1) >= NEEDED for side in (1, -1)]
        assert np.mean(np.logical_or(*claims)) <= ALPHA


def test_losing_episodes_makes_no_more_wrong_claims():
    """Equal policies; A loses a third of what it fails at. Rounds with an error left out instead gave 15 wrong claims of 100."""
    on = grid("libero_object")
    rng = np.random.default_rng(17)
    rates = np.full(len(on.appearances), 0.8)
    a, b = (draw(rates, on.appearances, 1.0, 600, rng) for _ in range(2))
    unknown = (a == 0) & (rng.random(a.shape) < 0.3)
    better, worse = e_values(on, a - b), e_values(on, b - np.where(unknown, 1, a))
    assert np.mean((np.maximum(better, worse) >= NEEDED).any(axis=1)) <= ALPHA


def test_looking_after_every_round_with_an_ordinary_interval_would_cheat():
    """The same runs judged by Wilson's interval: what the rules are for."""
    from nora_bench.results.statistics.weighted_mean import quantile

    on = grid("libero_object")
    k = draw(np.full(500, 0.9), on.appearances, 1.0, RUNS, np.random.default_rng(11)).cumsum(axis=1)[:, on.ends - 1]
    n, z2, p = on.size, quantile(0.95) ** 2, 0.9
    outside = (k / n - p) ** 2 > z2 * p * (1 - p) / n
    assert np.mean(outside.any(axis=1)) > 0.2
