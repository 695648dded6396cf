import numpy as np
import pytest
from nora_bench.results.comparisons.agreement import NotMeasurable, agreement, mean_maximum_rank_violation, pearson, spearman


def test_a_simulator_in_the_robots_order_violates_nothing():
    assert mean_maximum_rank_violation([0.1, 0.5, 0.9], [0.2, 0.3, 0.4]) == 0


def test_a_swap_costs_the_real_difference_of_the_swapped():
    assert mean_maximum_rank_violation([0.5, 0.1, 0.9], [0.2, 0.3, 0.8]) == pytest.approx((0.1 + 0.1 + 0) / 3)


def test_mmrv_is_not_symmetric_in_simulation_and_robot():
    a, b = [0.5, 0.1, 0.9], [0.2, 0.3, 0.8]
    assert mean_maximum_rank_violation(a, b) != mean_maximum_rank_violation(b, a)


def test_pearson_is_numpys():
    a, b = [0.1, 0.2, 0.4, 0.3], [0.3, 0.5, 0.9, 0.2]
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_spearman_is_scipys_with_ties_too():
    from scipy.stats import spearmanr

    a, b = [0.1, 0.2, 0.2, 0.4], [0.3, 0.5, 0.9, 0.2]
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_equal_rates_have_no_correlation():
    assert np.isnan(pearson([0.9, 0.9, 0.9], [0.3, 0.5, 0.9]))


@pytest.fixture
def sides(run, libero, record):
    """Simulated runs and trials on the robot of the same policies: `sides((2, 9), (4, 7))`, failures per task and trials won."""

    def make(*policies):
        sim = [run(f"sim{i}", libero(inits=20, failures=f, policy=f"policy{i}")) for i, (f, _) in enumerate(policies)]
        real = [
            run(f"real{i}", [record("widowx", "Put carrot in pot", n, success=n < k, policy=f"policy{i}") for n in range(10)])
            for i, (_, k) in enumerate(policies)
        ]
        return sim, real

    return make


def test_trials_on_the_robot_are_correlated_with(sides):
    found = agreement(*sides((2, 9), (4, 7), (8, 1)))
    assert found.names == ("policy0", "policy1", "policy2")
    assert found.coefficients["spearman"].value == pytest.approx(1)
    assert found.coefficients["mmrv"].value == 0
    assert found.coefficients["pearson"].low < found.coefficients["pearson"].value <= found.coefficients["pearson"].high


def test_intervals_come_from_a_seed(sides):
    runs = sides((2, 9), (4, 7), (8, 1))
    assert agreement(*runs).coefficients == agreement(*runs).coefficients
    assert agreement(*runs, seed=1).coefficients != agreement(*runs).coefficients


def test_two_policies_have_a_reason_instead_of_a_correlation(sides):
    found = agreement(*sides((2, 9), (4, 7)))
    assert set(found.coefficients.values()) == {None}
    assert "at least 3 policies" in found.reason


def test_equal_rates_are_undefined_and_not_almost_zero(sides):
    found = agreement(*sides((2, 9), (2, 7), (2, 1)))
    assert found.coefficients["pearson"] is None
    assert found.coefficients["mmrv"] is not None
    assert "pearson" in found.reason


def test_two_runs_of_one_policy_are_rejected_by_name(sides, run, libero):
    sim, real = sides((2, 9), (4, 7), (8, 1))
    again = run("again", libero(inits=20, policy="policy1"))
    with pytest.raises(NotMeasurable, match="sim1 and again are both of the policy policy1"):
        agreement([*sim, again], real)


def test_a_run_of_two_packs_has_no_rate(sides, run, libero):
    sim, real = sides((2, 9), (4, 7))
    mixed = [
        *libero(inits=10, policy="policy2"),
        *libero(inits=20, policy="policy2", assets={"pack": "standin", "fingerprint": "f"})[10:],
    ]
    with pytest.raises(NotMeasurable, match="mixed mixes asset packs"):
        agreement([*sim, run("mixed", mixed)], real)
