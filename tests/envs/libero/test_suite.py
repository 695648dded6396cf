"""The suites as data."""

import pytest
from nora_bench.envs import protocols, suites
from nora_bench.envs.errors import SuiteError

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")


def test_libero_expands_to_the_four_suites_of_the_papers():
    assert suites.expand("libero") == ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@pytest.mark.parametrize(("suite", "tasks"), [(name, 90 if name == "libero_90" else 10) for name in SUITES])
def test_every_suite_lists_its_tasks_in_order(suite, tasks):
    listed = suites.get(suite).tasks
    assert [task.id for task in listed] == list(range(tasks))
    assert all(task.init_states == 50 and task.instruction == task.instruction.strip() for task in listed)


def test_instructions_are_made_from_file_names():
    assert suites.get("libero_10").tasks[5].instruction == "pick up the book and place it in the back compartment of the caddy"


def test_seed_changes_25_of_the_40_scenes():
    seeded = {name: [task.id for task in suites.get(name).tasks if task.seeded] for name in SUITES[:4]}
    assert seeded == {
        "libero_spatial": list(range(10)),
        "libero_object": [],
        "libero_goal": list(range(10)),
        "libero_10": [2, 3, 5, 8, 9],
    }


def test_unknown_suite_error_names_the_nearest():
    with pytest.raises(KeyError, match="libero_goal"):
        suites.get("libero_gaol")


def test_incomplete_asset_folder_error_names_the_files(tmp_path):
    with pytest.raises(SuiteError, match=r"alphabet_soup\.xml"):
        suites.get("libero_goal").resolve_assets(str(tmp_path))


def test_two_libero_protocols_differ_where_published_evaluations_do():
    openvla, nora = protocols.get("libero/openvla"), protocols.get("libero/nora")
    assert [openvla.steps(name) for name in SUITES] == [220, 280, 300, 520, 400]
    assert nora.steps("libero_10") == 990
    assert (openvla.success, nora.success, nora.replan_steps) == ("any_step", "chunk_end", 5)


def test_unknown_protocol_error_names_the_nearest():
    with pytest.raises(KeyError, match="libero/openvla"):
        protocols.get("libero/openvl")
