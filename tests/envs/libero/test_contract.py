import pytest
from nora_bench.envs import suites
from nora_bench.envs.base import EnvOptions
from nora_bench.envs.checks import check_suite

pytestmark = [pytest.mark.libero, pytest.mark.slow]


def test_libero_fulfils_the_contract(pack, gl, cache):
    check_suite(suites.get("libero_goal"), EnvOptions(assets=pack, gl=gl, cache=str(cache)))
