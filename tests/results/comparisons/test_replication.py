"""Does a published rate hold?"""

import pytest
from nora_bench.results.comparisons.replication import RateInterval, mean_rate, published_rate, replication


def rate(k, n):
    return published_rate(k / n, n)


@pytest.mark.parametrize(
    ("published", "measured", "verdict"),
    [
        (rate(9_500, 10_000), rate(9_520, 10_000), "equivalent"),
        (rate(475, 500), rate(470, 500), "agrees"),  # 95 and 94 %: the interval of the difference is wider than the margin
        (rate(475, 500), rate(380, 500), "lower"),
        (rate(380, 500), rate(475, 500), "higher"),
        (rate(475, 500), rate(0, 1), "undecided"),  # one failure
    ],
)
def test_verdict_follows_the_rules(published, measured, verdict):
    assert replication(published, measured).verdict == verdict


def test_margin_decides_equivalence():
    published, measured = rate(9_000, 10_000), rate(8_700, 10_000)
    assert replication(published, measured, margin=0.05).verdict == "equivalent"
    assert replication(published, measured, margin=0.02).verdict == "lower"


def test_interval_of_the_difference_is_newcombes():
    """Newcombe 1998, table II: 56/70 against 48/80, with Wilson's intervals of both sides: 0.2 [0.0524, 0.3339]."""
    measured, published = RateInterval(0.8, 0.6916, 0.8770, 70), RateInterval(0.6, 0.4904, 0.7002, 80)
    found = replication(published, measured)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-3)


def test_average_has_the_interval_of_independent_parts():
    parts = [rate(460, 500), rate(475, 500), rate(450, 500), rate(375, 500)]
    mean = mean_rate(parts)
    assert mean.rate == pytest.approx(0.88)
    assert mean.n == 2_000
    assert mean.high - mean.low < min(part.high - part.low for part in parts)


def test_published_interval_contains_the_printed_rate():
    """97.3 % of 500 is no whole number of successes."""
    found = published_rate(0.973, 500)
    assert found.low < 0.973 < found.high
