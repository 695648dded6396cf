"""What the training verbs print."""

import io

import pytest
from nora_bench.training.cli.options import print_plan
from rich.console import Console


@pytest.mark.parametrize(("rank", "printed"), [(None, "        updates  3\n"), ("0", "        updates  3\n"), ("1", "")])
def test_only_the_main_process_prints(monkeypatch, rank, printed):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    page = io.StringIO()
    print_plan(Console(file=page), updates=3)
    assert page.getvalue() == printed
