"""What `import nora_bench` gives, and what it costs."""

import subprocess
import sys

import nora_bench
import pytest


@pytest.mark.parametrize("name", nora_bench.__all__)
def test_every_name_is_there_and_says_what_it_is(name):
    assert getattr(nora_bench, name).__doc__
    assert name in dir(nora_bench)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'nora_bench' has no attribute 'evalute'"):
        nora_bench.evalute  # noqa: B018


def test_importing_it_loads_nothing():
    code = "import sys; before = set(sys.modules); import nora_bench; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.partition(".")[0] for name in loaded} & {"numpy", "pandas", "rich", "typer", "msgspec"}
