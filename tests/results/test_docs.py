import re

import pytest
from nora_bench.harness.cli import VERBS
from nora_bench.results import layouts


@pytest.mark.parametrize("id", layouts.ids())
def test_every_table_has_a_page_with_its_command(repository, id):
    page = (repository / "docs" / "reference" / "tables" / f"{id.replace('/', '-')}.md").read_text(encoding="utf-8")
    assert f"nora-bench table {id} " in page


def test_pages_name_only_commands_that_exist(repository):
    pages = [
        *(repository / "docs" / "reference" / "tables").glob("*.md"),
        repository / "docs" / "reference" / "statistics.md",
        repository / "docs" / "reference" / "records.md",
    ]
    verbs = {verb for page in pages for verb in re.findall(r"nora-bench ([a-z]+)", page.read_text(encoding="utf-8"))}
    assert verbs <= set(VERBS)


def test_numbers_on_the_statistics_page_are_what_the_code_gives(repository):
    from nora_bench.results.comparisons.sequential import interval
    from nora_bench.results.statistics.intervals import clopper_pearson

    page = (repository / "docs" / "reference" / "statistics.md").read_text(encoding="utf-8")
    for low, high in (interval(450, 500), clopper_pearson(450, 500)):
        assert f"[{100 * low:.1f}, {100 * high:.1f}]" in page
    assert f"[{100 * clopper_pearson(500, 500)[0]:.1f}, 100]" in page


def test_published_pages_count_what_does_not_add_up(repository):
    from nora_bench.results.tables import published

    notes = [note for cell in published.cells(layouts.get("nora15/table1")).values() for note in cell.notes if "parts is" in note]
    page = (repository / "docs" / "reference" / "tables" / "nora15-table1.md").read_text(encoding="utf-8")
    assert f"{len(notes)} printed averages" in page
    assert f"{sum('3:1:2' in note for note in notes)} of them" in page


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.95, 0.99])
def test_the_rounds_that_a_width_takes_are_what_the_rule_needs(repository, rate):
    from nora_bench.results.comparisons.sequential import interval

    def rounds(width):
        bounds = ((r, interval(rate * 40 * r, 40 * r)) for r in range(1, 2000))
        return next(r for r, (low, high) in bounds if 100 * (high - low) < width)

    page = (repository / "docs" / "reference" / "statistics.md").read_text(encoding="utf-8")
    assert f"| {100 * rate:.0f} % | {rounds(10)} | {rounds(5)} | {rounds(2)} |" in page
