"""SimplerEnv's columns: averages as upstream takes them, looks counted for as alike as they are, renderers never mixed."""

from hashlib import sha256

import pytest
from nora_bench.envs import suites
from nora_bench.results import layouts
from nora_bench.results.comparisons.standings import rank
from nora_bench.results.summary import summarise
from nora_bench.results.tables.build import build

TABLE = layouts.get("nora15/table1")
FELL_BACK = "raster instead of raytraced"


@pytest.fixture
def simpler(record):
    """The records of a whole setting; `wins(task, look, part, init)` says which episodes succeed."""

    def make(wins, suite="simpler-vm", tasks=None, **fields):
        found = []
        for task in suites.get(suite).tasks:
            for variant in task.variants if tasks is None or task.name in tasks else ():
                appearance, _, part = variant.partition("/")
                for init in range(task.init_states):
                    success = wins(task.name, appearance, part, init)
                    made = record(suite, task.name, init, success=success, variant=variant, backend="sapien3", **fields)
                    key = f"{suite}/task{task.id}/{variant}/init{init}/seed0@{made.protocol}"
                    values = {**made.to_json(), "key": key, "task_id": task.id, "trajectory_sha256": key}
                    found.append(type(made).from_json(values))
        return found

    return make


def line(run):
    (found,) = [one for one in build(TABLE, [run]).rows if one.kind == "measured"]
    return found


def value(found, column):
    return found.cells[column, "success"].value


def test_the_columns_hold_upstreams_numbers_of_episodes(run, simpler):
    always = [*simpler(lambda *_: True), *simpler(lambda *_: True, suite="simpler-va")]
    cells = line(run("all", always)).cells
    counts = {column.name: cells[column.name, "success"].n for column in TABLE.columns if not column.mean_of}
    assert counts == {column.name: column.n for column in TABLE.columns if not column.mean_of}


def test_a_complete_run_is_not_called_incomplete(run, simpler):
    assert line(run("all", simpler(lambda *_: True))).part == ""


def test_pick_coke_can_is_the_mean_of_three_orientations(run, simpler):
    found = line(run("pick", simpler(lambda task, appearance, part, init: part == "standing", tasks=["pick_coke_can"])))
    assert value(found, "VM Pick Coke Can") == pytest.approx(100 / 3)


def test_orientations_weigh_equally_even_where_episodes_are_missing(run, simpler):
    records = simpler(lambda task, appearance, part, init: part == "standing", tasks=["pick_coke_can"])
    fewer = [record for record in records if record.part != "standing" or record.init_state < 5]
    assert value(line(run("pick", fewer)), "VM Pick Coke Can") == pytest.approx(100 / 3)


def test_open_and_close_weigh_equally(run, simpler):
    found = line(run("drawers", simpler(lambda task, *_: task == "close_drawer", tasks=["open_drawer", "close_drawer"])))
    assert value(found, "VM Open/Close Drawer") == pytest.approx(50)


def test_drawers_wait_for_open_and_close(run, simpler):
    closed = run("drawers", simpler(lambda *_: True, tasks=["close_drawer"]))
    assert [one for one in build(TABLE, [closed]).rows if one.kind == "measured"] == []


def test_the_average_is_the_plain_mean_of_three_columns(run, simpler):
    found = line(run("all", simpler(lambda task, *_: task == "move_near")))
    assert value(found, "VM Average") == pytest.approx(100 / 3)


def test_looks_that_end_alike_are_one_scene(run, simpler):
    alike = line(run("alike", simpler(lambda task, appearance, part, init: init % 2 == 0)))
    apart = line(run("apart", simpler(lambda _, look, part, init: sha256(f"{look}/{part}/{init}".encode()).digest()[0] % 2 == 0)))
    assert alike.cells["VM Move Near", "success"].effective == 60
    assert apart.cells["VM Move Near", "success"].effective > 120


def test_task_with_two_renderers_makes_two_rows(run, simpler):
    first = simpler(lambda *_: True, tasks=["open_drawer", "close_drawer"], renderer="raytraced")
    second = simpler(lambda *_: True, tasks=["open_drawer", "close_drawer"], renderer=FELL_BACK)
    records = [one if one.init_state < 5 else other for one, other in zip(first, second, strict=True)]
    found = [one for one in build(TABLE, [run("mixed", records)]).rows if one.kind == "measured"]
    assert [one.cells["VM Open/Close Drawer", "success"].n for one in found] == [120, 96]


def test_tasks_drawn_in_different_ways_share_a_row_that_says_so(run, simpler):
    table = simpler(lambda *_: True, tasks=["pick_coke_can", "move_near"], renderer="raster")
    drawers = simpler(lambda *_: True, tasks=["open_drawer", "close_drawer"], renderer=FELL_BACK)
    found = line(run("cpu", [*table, *drawers]))
    assert ("VM Average", "success") in found.cells
    assert f"images by raster (pick_coke_can, move_near), {FELL_BACK} (open_drawer, close_drawer)" in found.notes[0]


def test_backends_never_share_a_row(run, simpler):
    result = simpler(lambda *_: True, tasks=["move_near"])
    reference = [type(one)(**{**one.to_json(), "backend": "upstream", "key": f"{one.key}u"}) for one in result[:60]]
    found = [one for one in build(TABLE, [run("both", [*result, *reference])]).rows if one.kind == "measured"]
    assert ["backend sapien3" in one.notes[0] for one in found] == [True, False]


def test_a_comparison_of_two_backends_says_so(write, simpler, cli):
    result = simpler(lambda *_: True, tasks=["move_near"])
    reference = [type(one)(**{**one.to_json(), "backend": "upstream"}) for one in result]
    shown = cli("compare", write("ours", result), write("theirs", reference)).out
    assert "backend: sapien3 in A, upstream in B" in shown
    assert "B: theirs (nora, libero/openvla, upstream)" in shown


def test_show_gives_a_row_per_part_and_a_line_per_look(run, simpler, cli):
    found = run("pick", simpler(lambda task, appearance, part, init: appearance == "urdf_base", tasks=["pick_coke_can"]))
    (suite,) = summarise(found)["suites"]
    assert [task["variant"] for task in suite["tasks"]] == ["horizontal", "standing", "vertical"]
    shown = cli("show", found.folder).out
    assert "urdf_base 75/75, urdf_tabletop1 0/75" in " ".join(shown.split())


def test_the_mean_that_show_prints_weighs_tasks_equally(run, simpler):
    (suite,) = summarise(run("all", simpler(lambda task, *_: task == "move_near")))["suites"]
    assert suite["mean"] == pytest.approx(1 / 4)


def test_ranks_weigh_tasks_as_the_table_does(run, simpler):
    runs = [run(name, simpler(lambda task, *_, name=name: task == name)) for name in ("move_near", "pick_coke_can")]
    standings = rank(runs).ranked
    assert [standing.rate.low.mean for standing in standings] == pytest.approx([1 / 3, 1 / 3])


def test_residual_of_sapien_3_is_under_every_table_of_its_rows(run, simpler):
    from nora_bench.envs.simpler.suite import BACKEND_NOTES

    (note,) = line(run("all", simpler(lambda *_: True))).notes
    assert BACKEND_NOTES["sapien3"] in note


def test_widowx_quotes_no_figure_of_the_google_robot():
    from nora_bench.envs import suites
    from nora_bench.envs.simpler.suite import BACKEND_NOTES

    (note,) = suites.get("simpler-widowx").backend_notes.values()
    assert note != BACKEND_NOTES["sapien3"]
    assert "WidowX" in note
    assert "move near" not in note


def test_apple_in_drawer_has_a_table_of_its_own(run, simpler):
    records = [
        *simpler(lambda *_: True),
        *simpler(lambda task, appearance, part, init: init < 9, suite="simpler-vm-place"),
        *simpler(lambda *_: False, suite="simpler-va-place"),
    ]
    both = run("all", records)
    (own,) = [row for row in build(layouts.get("simpler/place"), [both]).rows if row.kind == "measured"]
    assert {name: (cell.k, cell.n) for (name, _), cell in own.cells.items()} == {"VM": (36, 108), "VA": (0, 189)}
    assert value(line(both), "VM Average") == 100.0
