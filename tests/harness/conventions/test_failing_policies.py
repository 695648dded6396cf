"""Policies that fail in a diagnosis: the error names them, and its traceback stays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.errors import PolicyFailedError
from nora_bench.harness.conventions import corrections as to
from nora_bench.harness.conventions.confirmation import Confirmation, Corrected
from nora_bench.harness.conventions.recording import _Expert
from nora_bench.harness.conventions.report import Report, Request, lines
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.policies.base import ActionChunk, BasePolicy, ObservationSpec, PolicyContext
from synthetic_moments import PROTOCOL, SUITE, Reader, diagnosis_of, moments

CONTEXT = PolicyContext(PROTOCOL, (SUITE.name,), 7)


class Unable(BasePolicy):
    """Raises, or answers with what `answer` is."""

    observation_spec = ObservationSpec(privileged=True)

    def __init__(self, answer=None):
        self.answer = answer

    def act_one(self, observation):
        if self.answer is None:
            raise RuntimeError("out of ideas")
        return ActionChunk(self.answer)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("answer", [None, np.full((1, 7), np.nan), np.zeros((1, 3)), np.zeros((0, 7))])
@pytest.mark.parametrize("wrapped", [lambda policy: _Expert(Reader(), policy), Corrected])
def test_error_names_the_policy_and_not_its_wrapper(wrapped, answer, cache):
    host = LocalPolicyHost(wrapped(Unable(answer)), Path("/nonexistent/run/policy.log"))
    host.setup(CONTEXT)
    with pytest.raises(PolicyFailedError, match="Unable") as caught:
        host.decide([moments(1, 1)[0].observation])
    assert "/nonexistent" not in str(caught.value)
    assert (cache / "diagnose.log").exists() == (answer is None)


def test_suite_without_an_expert_is_rejected(cli, monkeypatch):
    ended = cli("diagnose", "--suite", "fakes:toy", "--policy", "fakes:Walk")
    assert (ended.code, "expert" in ended.err, "_Expert" in ended.err) == (2, True, False)


def test_argument_without_a_value_is_rejected(cli):
    ended = cli("diagnose", "--suite", "libero_object", "--policy", "zero", "--policy-arg", "speed")
    assert (ended.code, "--policy-arg" in ended.err, "Traceback" in ended.err) == (2, True, False)


def test_confirmation_whose_episodes_all_ended_in_errors_is_not_counted(tmp_path):
    diagnosis = diagnosis_of(Reader(act=to.columns(6, lambda gripper: -gripper)), tmp_path)
    request = Request("mine:Policy", {"speed": "1"}, "libero_object", protocol="libero/openvla", assets="standin")
    report = Report(request, diagnosis, "standin", Confirmation(0, 0, 0))
    text = "\n".join(lines(report))
    assert "0 of 0" not in text
    assert "errors" in text
    assert "--assets standin" in " ".join("\n".join(lines(replace(report, confirmation=None))).split())
