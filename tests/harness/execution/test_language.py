"""The altered instruction reaches the policy, wherever it runs, and the record."""

import json

import fakes
import numpy as np
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.perturbations import axes, language
from nora_bench.harness.planning.plan import EvalSetup
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.registry import load
from servers import openpi_like, served, vla_eval_like

AXIS = ("--perturb", "language:typo,language:none,language:wrong", "--tasks", "1", "--episodes", "2")


def expected(records):
    """Instruction of each record's episode, as the axis has it."""
    assert len(records) == 8
    return {key: language.given(fakes.toy, record.spec) for key, record in records.items()}


def require_given(seen, records):
    """The policy received one text per episode, that of the record, which is the axis's."""
    given = {key: record.instruction for key, record in records.items()}
    assert given == expected(records)
    assert seen == set(given.items())
    assert len(set(given.values())) >= 4


def noted(path):
    """Key and instruction of what the policy received, without the queries that check the policy."""
    notes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(key, text) for key, text in notes if "#check" not in key}


def test_policy_of_this_process_receives_the_altered_instruction(bench, tmp_path):
    run = bench(*AXIS, "--policy-arg", f"note={tmp_path / 'note'}", policy="fakes:Scribe")
    require_given(noted(tmp_path / "note"), run.records)


def test_policy_behind_a_server_of_nora_bench_receives_the_altered_instruction(bench, tmp_path):
    with served(fakes.Scribe(tmp_path / "note"), tmp_path) as (url, _):
        run = bench(*AXIS, policy=url)
    require_given(noted(tmp_path / "note"), run.records)


def test_server_of_openpi_receives_the_altered_instruction(bench):
    seen = []
    with openpi_like(lambda message: seen.append(message["prompt"]) or {"actions": np.zeros((5, 1), np.float32)}) as url:
        run = bench(*AXIS, "--policy-arg", "cameras=primary", "--policy-arg", "state=false", policy=url)
    assert set(seen) == set(expected(run.records).values())
    assert {record.instruction for record in run.records.values()} == set(seen)


def test_server_of_vla_eval_receives_the_altered_instruction():
    goal = suites.get("libero_goal")
    setup = EvalSetup((goal,), ("libero_goal",), protocols.get("libero/openvla"))
    names = ("", *axes.parse(["language"]))
    specs = [EpisodeSpec("libero_goal", 3, 0, 0, "libero/openvla", perturbation=name) for name in names]
    view = EnvObservation(images={"primary": np.zeros((256, 256, 3), np.uint8)})
    seen = []
    with vla_eval_like(lambda payload: seen.append(payload["task_description"]) or np.zeros((1, 7))) as url:
        policy = load(url, {"check": "false"})
        policy.setup(PolicyContext(setup.protocol, ("libero_goal",), 7))
        try:
            policy.act([Observation(spec, 0, 0, setup.instruction(spec), view) for spec in specs])
        finally:
            policy.close()
    assert sorted(seen) == sorted(map(setup.instruction, specs))
    assert len(set(seen)) == 7


def test_trajectory_is_that_of_the_control_for_a_policy_that_ignores_words(bench):
    records = bench(*AXIS).records
    assert len({record.trajectory_sha256 for record in records.values()}) == 2
    assert all(records[record.spec.control.key].trajectory_sha256 == record.trajectory_sha256 for record in records.values())


def test_instruction_that_the_environment_changes_is_altered_too():
    setup = EvalSetup((fakes.toy,), ("fakes:toy",), fakes.protocol())
    spec = EpisodeSpec("toy", 0, 0, 0, "toy/plain", perturbation="language-none")
    assert setup.present_instruction(spec, "", EnvObservation(instruction="go on").instruction) == ""
    assert setup.present_instruction(spec.control, "go", "stop") == "stop"
    assert setup.present_instruction(spec.control, "go", "") == "go"


def test_wordings_that_a_suite_lacks_are_excluded_with_the_cause(bench):
    run = bench("--perturb", "language:lexical", "--tasks", "0", "--episodes", "1")
    assert [record.perturbation for record in run.records.values()] == [""]
    assert "no lexical wordings" in run.out + run.err
