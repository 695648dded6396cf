"""Terminals and pipes that cannot take every character, or nothing more."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "results" / "data" / "run-v1"


@pytest.fixture
def printed(monkeypatch):
    """Runs the command line with a stdout of that encoding: `printed("ascii", "show", RUN)` is code and bytes."""
    from nora_bench.harness.cli import main

    def run(encoding, *args):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        return int(caught.value.code or 0), stream.buffer.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
@pytest.mark.parametrize("command", [("table", RUN), ("show", RUN), ("list", "protocols"), ("list", "suites")])
def test_characters_that_a_terminal_lacks_are_replaced(printed, encoding, command):
    code, given = printed(encoding, *command)
    assert (code, given.decode(encoding) != "") == (printed("utf-8", *command)[0], True)


def test_character_without_replacement_becomes_a_question_mark(printed):
    whole = printed("utf-8", "table", RUN)[1].decode()
    assert "\u03c0" in whole
    assert printed("ascii", "table", RUN)[1].count(b"?") > whole.count("?")


@pytest.mark.parametrize("command", [("show", RUN), ("table", RUN)], ids=["show", "table"])
def test_json_is_the_same_in_any_encoding(printed, command):
    reported = [json.loads(printed(encoding, *command, "--json")[1].decode(encoding)) for encoding in ("ascii", "utf-8")]
    assert reported[0] == reported[1]


def test_unknown_encoding_in_the_environment_is_no_internal_error():
    command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "table", str(RUN)]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_to_a_full_disk_ends_with_exit_code_3():
    command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "list", "protocols"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
