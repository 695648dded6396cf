"""The benchmark of backends against the original: its keys, measures, store and report; and a few pairs where SAPIEN 2.2.2 is."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "bench_simpler_fidelity.py"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import bench_simpler_fidelity

        yield bench_simpler_fidelity
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def options(tmp_path, bench):
    def make(**changed):
        groups, controllers = list(bench.GROUPS), sorted({name for own in bench.GROUPS.values() for name in own})
        values = {
            "store": tmp_path,
            "reference": "sapien2",
            "backend": "sapien3",
            "keys": 4,
            "half": "all",
            "any_code": True,
            "outcomes": False,
        }
        return argparse.Namespace(**{**values, "groups": groups, "controllers": controllers, "assets": "standin", **changed})

    return make


def store(folder, backend, cells, success):
    """Finished episodes of a backend; `success(key number)`."""
    rows = [
        {"group": group, "controller": controller, "key": key, "code": "", "success": success(number), "slip": 1e-3, "cpu_s": 1.0}
        for number, (group, controller, key) in enumerate(cells)
    ]
    (folder / f"{backend}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_halves_of_the_keys_are_disjoint_and_large_enough(bench):
    for group, controllers in bench.GROUPS.items():
        for controller in controllers:
            halves = bench.keys_of(group, controller)
            chosen, reported = ({key.name for key in halves[half]} for half in ("chosen", "reported"))
            assert not chosen & reported
            assert len(chosen | reported) >= 54
            assert abs(len(chosen) - len(reported)) <= 1


def test_layouts_on_which_settings_were_chosen_are_never_reported(bench):
    import fidelity_episodes

    reported = {key.init_state for key in bench.keys_of("move near", "lift")["reported"]}
    assert not reported & set(fidelity_episodes.SEEN)


def test_stopped_run_has_about_equally_many_keys_in_every_cell(bench, options):
    cells = [(group, controller) for group, controller, _ in bench.wanted(options(keys=5))]
    assert {cells.count(cell) for cell in cells} == {5}


def test_slip_is_the_motion_of_the_object_in_the_moving_gripper(bench):
    import fidelity_episodes

    steps = np.arange(12)
    turn = np.array([np.cos(0.1), 0, 0, np.sin(0.1)])
    views = [{"tcp": np.array([0.01 * k, 0, 0, *turn])} for k in steps]
    poses = np.array([[0.01 * k + 0.002 * k, 0, 0, 1, 0, 0, 0] for k in steps])
    assert fidelity_episodes.slip(views, poses, np.ones(12, bool))["slip"] == pytest.approx(0.002)
    assert fidelity_episodes.slip(views, poses, steps < 3) == {}


@pytest.mark.parametrize(("held", "longest"), [([0, 1, 1, 0, 1], (1, 2)), ([1, 1, 1], (0, 3)), ([0, 0], (0, 0))])
def test_longest_hold_is_found(bench, held, longest):
    import fidelity_episodes

    assert fidelity_episodes.longest(np.array(held, bool)) == longest


def test_interval_of_a_median_is_the_sign_tests(bench):
    assert bench.median_interval(range(1, 7)) == (1, 6)
    assert bench.median_interval(range(1, 21)) == (6, 15)


def test_report_gives_discordant_pairs_and_exact_mcnemar(bench, options, capsys):
    chosen = options(groups=["move near"], controllers=["lift"], keys=12)
    cells = [(group, controller, key.name) for group, controller, key in bench.wanted(chosen)]
    store(chosen.store, "sapien2", cells, lambda number: number < 11)
    store(chosen.store, "sapien3", cells, lambda number: number < 4)
    bench.report(chosen)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| move near, lift")]
    first, second, change, discordant, p = (cell.strip() for cell in row.split("|")[2:7])
    assert (first, second, discordant) == ("11/12", "4/12", "7, 0")
    assert change.startswith("-58.3 [")
    assert "0.016" in p


def test_finished_episodes_do_not_run_again(bench, options, monkeypatch, simpler_standin):
    ran = []
    monkeypatch.setattr(bench, "run_episode", lambda env, controller, key, outcomes: ran.append(key.name) or {"success": True})
    chosen = options(groups=["close drawer"], controllers=["plain"], keys=2, reference="sapien3", assets=str(simpler_standin))
    bench.run_missing(chosen)
    bench.run_missing(chosen)
    assert len(ran) == len(set(ran)) == 2


def test_episode_of_an_outcome_alone_is_not_taken_as_a_measured_one(bench, options):
    chosen = options(groups=["pick coke can"], controllers=["lift"])
    row = {"group": "pick coke can", "controller": "lift", "key": "k", "code": "", "success": True, "outcome_only": True}
    (chosen.store / "sapien3.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert bench.read_rows(chosen, "sapien3") == {}
    assert list(bench.read_rows(options(outcomes=True), "sapien3")) == [("pick coke can", "lift", "k")]


def test_success_is_final_only_for_a_can_lifted_long_enough(bench):
    import fidelity_episodes
    from nora_bench.envs.simpler.rules import SIGNIFICANT_STEPS, DrawerRule, PickRule

    rule = PickRule.__new__(PickRule)
    rule.grasped_ever = rule.consecutive_ever = False
    rule.significant_steps = SIGNIFICANT_STEPS - 1
    assert not fidelity_episodes.is_final(rule)
    rule.significant_steps += 1
    assert fidelity_episodes.is_final(rule)
    assert not fidelity_episodes.is_final(DrawerRule("top", opens=True))


@pytest.mark.slow
def test_pairs_of_both_backends_are_reported(simpler_standin, tmp_path):
    interpreter = pytest.importorskip("nora_bench.envs.simpler.interpreter", reason="no backend sapien2")
    if interpreter.find_interpreter() is None:
        pytest.skip(interpreter.problem())
    where = [
        "--store",
        tmp_path,
        "--assets",
        simpler_standin,
        "--keys",
        "1",
        "--groups",
        "close drawer",
        "--controllers",
        "plain",
    ]
    done = subprocess.run([sys.executable, SCRIPT, *map(str, where)], capture_output=True, text=True, timeout=600)
    assert "| close drawer, plain | 1/1 | 1/1 |" in done.stdout, done.stderr
