import json
import subprocess
from pathlib import Path

import numpy as np
from nora_bench.harness.planning import provenance


def test_versions_are_those_installed():
    assert provenance.versions()["numpy"] == np.__version__


def test_commit_is_the_checkouts(repository):
    if not (repository / ".git").exists() or Path(provenance.__file__).resolve().parents[2] != repository.resolve():
        assert provenance.commit() is None
        return
    head = subprocess.run(["git", "-C", repository, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    found = provenance.commit()
    assert found is not None
    assert found["sha"] == head.strip()


def test_missing_tool_is_no_error():
    assert provenance._output(["no-such-tool"]) is None


def test_provenance_is_json():
    assert json.dumps([provenance.versions(), provenance.hardware(), provenance.host()])


def test_usable_cores_are_at_least_one():
    assert provenance.usable_cores() >= 1
    assert provenance.cpu_model()
