"""A sample of the campaign: every fault in one of its phases. The whole of it: `tox -e faults`."""

import subprocess
import sys

import pytest

from faults.campaign import LISTS
from faults.kinds import KINDS

assert LISTS


@pytest.fixture(scope="module")
def said(repository, tmp_path_factory):
    """Output of a campaign with every fault. Its processes are forked, so it runs in a process of its own."""
    command = [sys.executable, "-m", "tests.faults", "--each", "--seed", "0", "--folder", str(tmp_path_factory.mktemp("faults"))]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_fault_loses_doubles_and_changes_nothing(said, kind):
    if not kind.possible():
        pytest.skip(kind.needs)
    (line,) = [line for line in said.splitlines() if f"/{kind.name}/" in line]
    assert not line.startswith("BROKEN"), said
