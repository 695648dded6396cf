import os
import signal

import pytest
from nora_bench.harness.config import parse
from nora_bench.harness.execution.signals import STOP_SIGNALS, stop_signals
from nora_bench.harness.lifecycle import create, resume_command, run_session
from nora_bench.harness.planning.resolve import resolve_run
from nora_bench.harness.rendering.gl import Backend
from rich.console import Console


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of the test run come back, whatever a test does to them."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_requests_a_stop(number):
    with stop_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()


def test_second_ctrl_c_raises_at_once():
    with stop_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_sighup_ignored_by_nohup_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop()


def test_signal_handlers_are_restored(handlers):
    with stop_signals():
        pass
    assert {number: signal.getsignal(number) for number in STOP_SIGNALS} == handlers


def test_resume_command_is_quoted_for_a_shell(tmp_path):
    assert resume_command(tmp_path / "my run") == f"nora-bench run --resume --out '{tmp_path}/my run'"


def test_on_record_is_called_before_the_record_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    values = {"suite": "fakes:toy", "policy": "fakes:Walk", "tasks": "0", "episodes": 2, "workers": 1}
    resolved = resolve_run(parse({**values, "out": str(tmp_path / "run")}))
    heard = []
    with create(resolved, {}) as store:
        run_session(
            resolved, store, Backend("none"), Console(quiet=True), lambda record: heard.append((record.key, store.keys()))
        )
        kept = [record.key for record in store.records()]
    assert heard == [(kept[0], set()), (kept[1], {kept[0]})]
