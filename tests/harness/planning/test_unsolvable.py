"""The table of perturbed episodes that the scripted expert cannot solve."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.libero import unsolvable
from nora_bench.envs.libero.suite import libero_goal
from nora_bench.envs.perturbations import axes
from nora_bench.harness.planning.unsolvable import examine

SPEC = EpisodeSpec("libero_goal", 3, 0, 0, "libero/openvla")


def of(perturbation, success, error=None, policy="scripted"):
    spec = replace(SPEC, perturbation=perturbation)
    fields = {"key": spec.key, "perturbation": perturbation, "steps": 300}
    return SimpleNamespace(spec=spec, success=success, error=error, policy=policy, **fields)


def test_failures_of_axes_that_move_things_are_listed_and_all_are_examined():
    table = examine({}, [of("", False), of("camera2", False), of("robot1", True), of("robot3", False)])
    assert table["version"] == axes.version()
    assert table["examined"] == [f"{SPEC.scene}+robot1", f"{SPEC.scene}+robot3"]
    assert list(table["unsolvable"]) == [f"{SPEC.scene}+robot3"]


def test_scene_without_room_is_unsolvable_and_a_crash_says_nothing():
    records = [of("layout3", None, "SceneCheckError: plate_1 cannot be shifted"), of("layout2", None, "WorkerLost: killed")]
    table = examine({}, records)
    assert table["examined"] == list(table["unsolvable"]) == [f"{SPEC.scene}+layout3"]


def test_later_run_replaces_a_verdict_and_another_version_the_table():
    failed = examine({}, [of("robot3", False)])
    assert examine(failed, [of("robot3", True)])["unsolvable"] == {}
    assert examine({**failed, "version": 0}, [])["examined"] == []


def test_runs_of_other_policies_say_nothing():
    with pytest.raises(ValueError, match="scripted"):
        examine({}, [of("robot3", False, policy="zero")])


@pytest.mark.parametrize(("version", "problem"), [(axes.version(), "the expert fails"), (0, "")])
def test_listed_episode_is_left_out_under_every_protocol_unless_the_levels_have_changed(tmp_path, monkeypatch, version, problem):
    spec = replace(SPEC, perturbation="robot3", protocol="libero/nora")
    table = {"version": version, "examined": [f"{SPEC.scene}+robot3"], "unsolvable": {f"{SPEC.scene}+robot3": "the expert fails"}}
    (tmp_path / unsolvable.TABLE).write_text(json.dumps(table))
    monkeypatch.setattr(unsolvable, "files", lambda package: tmp_path)
    monkeypatch.setattr(unsolvable, "_table", unsolvable._table.__wrapped__)
    assert libero_goal.perturbation_problem(spec) == problem
    assert libero_goal.perturbation_problem(replace(spec, perturbation="robot2")) == ""


def test_listed_episodes_were_examined():
    table = json.loads((unsolvable.files("nora_bench.envs.libero") / unsolvable.TABLE).read_text())
    assert set(table["unsolvable"]) <= set(table["examined"])
