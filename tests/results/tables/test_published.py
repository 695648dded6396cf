import pytest
from nora_bench.results import layouts
from nora_bench.results.tables import published

ALL = [layouts.get(id) for id in layouts.ids()]
MEANS = [
    (layout, model, column)
    for layout in ALL
    for model in published.models(layout)
    for column in layout.columns
    if column.mean_of and {(model, name, "success") for name in (column.name, *column.mean_of)} <= published.cells(layout).keys()
]
# table, policy, column: averages that the paper's own cells do not give
OFF = {
    ("nora/table1", "RT-1", "Average"): 3.44,
    ("nora15/table1", "HPT", "VM Average"): 46.67,
    ("nora15/table1", "TraceVLA", "VM Average"): 46.23,
    ("nora15/table1", "TraceVLA", "VA Average"): 49.13,
    ("nora15/table1", "RT-1-X", "VM Average"): 49.37,
    ("nora15/table1", "RT-1-X", "VA Average"): 36.90,
    ("nora15/table1", "RT-2-X", "VM Average"): 60.53,
    ("nora15/table1", "RT-2-X", "VA Average"): 65.60,
    ("nora15/table1", "Octo-Base", "VM Average"): 14.63,
    ("nora15/table1", "Octo-Base", "VA Average"): 1.60,
    ("nora15/table1", "OpenVLA", "VM Average"): 32.70,
    ("nora15/table1", "OpenVLA", "VA Average"): 39.97,
    ("nora15/table1", "RoboVLM (zero-shot)", "VM Average"): 55.27,
    ("nora15/table1", "RoboVLM (zero-shot)", "VA Average"): 44.27,
    ("nora15/table1", "RoboVLM (fine-tuned)", "VM Average"): 60.83,
    ("nora15/table1", "RoboVLM (fine-tuned)", "VA Average"): 48.73,
    ("nora15/table1", "GR00T N1.5 (fine-tuned)", "VM Average"): 57.93,
    ("nora15/table1", "GR00T N1.5 (fine-tuned)", "VA Average"): 42.37,
    ("nora15/table1", "MolmoAct (zero-shot)", "VA Average"): 59.43,
    ("nora15/table2", "WorldVLA", "Average"): 81.80,
    ("nora15/table2", "MolmoAct-7B-D", "Average"): 86.80,
    ("nora15/table4", "GTA", "VM Average"): 81.07,
    ("simpler/widowx", "Octo-Small", "Average"): 29.50,
    ("simpler/widowx-unstated", "pi0-FAST (starVLA's table)", "Average"): 32.10,
    ("simpler/widowx-unstated", "Magma (starVLA's table)", "Average"): 35.425,
    ("simpler/widowx-unstated", "ContextVLA + GR00T N1.5", "Average"): 30.575,
    ("simpler/widowx-unstated", "FLOWER", "Average"): 43.75,
    ("simpler/widowx-unstated", "LLaDA-VLA", "Average"): 55.525,
    ("simpler/widowx-unstated", "pi0 + RoboVIP", "Average"): 28.25,
}


@pytest.mark.parametrize(
    ("id", "count"),
    {
        "nora/table1": 40,
        "nora/table2": 30,
        "nora15/table1": 188,
        "nora15/table2": 75,
        "nora15/table3": 81,
        "nora15/table4": 48,
        "nora15/table5": 177,
        "nora15/table6": 20,
        "simpler/widowx": 57,
        "simpler/widowx-any": 0,
        "simpler/widowx-120": 26,
        "simpler/widowx-groot-n1.5": 12,
        "simpler/widowx-groot-n1.6": 10,
        "simpler/widowx-x-vla": 10,
        "simpler/widowx-unstated": 289,
    }.items(),
)
def test_every_printed_cell_is_there(id, count):
    assert len(published.cells(layouts.get(id))) == count


@pytest.mark.parametrize(("layout", "model", "column"), MEANS, ids=lambda x: getattr(x, "id", getattr(x, "name", x)))
def test_printed_averages_follow_from_their_row_or_are_footnoted(layout, model, column):
    cells = published.cells(layout)
    parts = [cells[model, part.name, "success"].value for part in layout.components(column)]
    mean, cell = sum(parts) / len(parts), cells[model, column.name, "success"]
    expected = OFF.get((layout.id, model, column.name))
    assert mean == pytest.approx(expected or cell.value, abs=0.005 if expected else 0.1001)
    assert any(f"parts is {mean:.2f}" in note for note in cell.notes) == (expected is not None)


@pytest.mark.parametrize(
    ("id", "model", "column", "note"),
    [
        ("nora15/table2", "Δ from DPO", "Long", "printed 1.0; 90.5 against 89.6 is 0.9"),
        ("nora15/table2", "Δ from DPO", "Average", "printed 0.6; 95.0 against 94.5 is 0.5"),
        ("nora15/table5", "WM (subgoal) + GTA", "Δ unseen", "printed 16.08; 62.00 against 46.00 is 16.00"),
    ],
)
def test_printed_differences_that_do_not_follow_are_footnoted(id, model, column, note):
    assert note in published.cells(layouts.get(id))[model, column, "success"].notes


def test_all_other_printed_differences_follow():
    notes = [
        note
        for layout in ALL
        for (model, column, _), cell in published.cells(layout).items()
        if "Δ" in model + column
        for note in cell.notes
    ]
    assert len(notes) == 3


def test_an_average_explained_by_six_sub_tasks_says_so():
    cell = published.cells(layouts.get("nora15/table1"))["OpenVLA", "VM Average", "success"]
    assert any("3:1:2" in note for note in cell.notes)


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.id)
def test_every_cell_names_its_paper_and_table(layout):
    cells = published.cells(layout).values()
    if layout.protocol:  # rows of many papers: each is in its footnote
        assert all(cell.source in cell.notes for cell in cells)
    else:
        assert {cell.source for cell in cells} == {layout.source}


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.id)
def test_every_cell_has_a_place_in_the_layout(layout):
    names = {column.name for column in layout.columns} | {layout.column_delta.get("name")}
    assert {column for _, column, _ in published.cells(layout)} <= names


def test_rates_lie_between_0_and_100():
    for layout in ALL:
        for (model, column, _), cell in published.cells(layout).items():
            assert "Δ" in model + column or 0 <= cell.value <= 100


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(KeyError, match="nora15/table6"):
        layouts.get("nora15/table9")
