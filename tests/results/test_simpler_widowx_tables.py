"""WidowX tables: rates of different protocols never share one, published rows have their sources."""

import pytest
from nora_bench.envs import suites
from nora_bench.results import layouts
from nora_bench.results.conditions import Incomparable
from nora_bench.results.tables.build import build


@pytest.fixture
def widowx(record):
    """The records of a whole suite under a protocol: `widowx("simpler/widowx", wins)`."""

    def make(protocol, wins=lambda task, init: True, **fields):
        return [
            record("simpler-widowx", task.name, init, success=wins(task.name, init), task_id=task.id, protocol=protocol, **fields)
            for task in suites.get("simpler-widowx").tasks
            for init in range(task.init_states)
        ]

    return make


def test_measured_row_stands_beside_published_ones(run, widowx):
    table = build(layouts.get("simpler/widowx"), [run("all", widowx("simpler/widowx", lambda task, init: task != "stack_cube"))])
    (row,) = [row for row in table.rows if row.kind == "measured"]
    values = {name: cell.value for (name, _), cell in row.cells.items()}
    assert values == {"Spoon on Towel": 100, "Carrot on Plate": 100, "Stack Cube": 0, "Eggplant in Basket": 100, "Average": 75}
    assert any(other.label == "Octo-Base" for other in table.rows)


@pytest.mark.parametrize("id", ["simpler/widowx", "simpler/widowx-x-vla", "simpler/widowx-unstated"])
def test_run_under_another_protocol_is_rejected(run, widowx, id):
    with pytest.raises(Incomparable) as caught:
        build(layouts.get(id), [run("any", widowx("simpler/widowx-any"))])
    assert "nora-bench table simpler/widowx-any" in str(caught.value)


def test_run_with_two_protocols_is_rejected(run, widowx):
    mixed = [*widowx("simpler/widowx")[:48], *widowx("simpler/widowx-any")[48:]]
    with pytest.raises(Incomparable):
        build(layouts.get("simpler/widowx"), [run("mixed", mixed)])


@pytest.mark.parametrize("protocol", ["simpler/widowx", "simpler/widowx-any", "simpler/widowx-groot-n1.6"])
def test_table_that_fits_a_run_has_its_protocol(protocol):
    assert layouts.fitting({"simpler-widowx"}, {protocol}).protocol == protocol


def test_every_protocol_of_the_suite_has_its_table():
    from nora_bench.envs import protocols

    names = {name for name in protocols.names() if "simpler-widowx" in protocols.get(name).max_steps}
    assert names == {layouts.get(id).protocol for id in layouts.ids()} - {"", "none"}
