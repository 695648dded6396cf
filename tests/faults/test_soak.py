import numpy as np
import pytest

from faults.soak import PARTS, slope

HOURS = np.linspace(0, 1, 40 * PARTS)


@pytest.mark.parametrize("grows", [-3.0, 0.5, 40.0])
def test_leak_is_found_with_its_size(grows):
    noise = np.random.default_rng(0).normal(scale=0.1, size=len(HOURS))
    found, low, high = slope(HOURS, 700 + grows * HOURS + noise)
    assert low < grows < high
    assert found == pytest.approx(grows, abs=0.2)


def test_memory_loaded_at_the_start_is_no_leak():
    assert slope(HOURS, np.where(HOURS < 0.15, 100.0, 700.0)) == (0.0, 0.0, 0.0)
