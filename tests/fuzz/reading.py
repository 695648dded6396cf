"""Reading what may be anything: within limits, counted, and with an error that a user can be shown."""

import os
import resource
import signal
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nora_bench.envs.errors import exit_code

ROOM = 1 << 30
"""Bytes that one input may make a reader take beyond what the process has."""
SECONDS = 20
"""Processor time that one input may take."""


@dataclass
class Count:
    """What became of a reader's inputs."""

    results: int = 0
    errors: int = 0
    slowest: float = 0.0
    """Processor seconds."""
    seconds: float = 0.0


COUNTS: dict[str, Count] = defaultdict(Count)
"""Reader -> what became of its inputs, in this process."""


def reads(reader, read, *known):
    """Whether `read()` gave a result rather than an error that the command line explains, or one of the classes `known`.

    Raises whatever else comes: another error, MemoryError beyond ROOM, TimeoutError beyond SECONDS.
    """
    count, started = COUNTS[reader], time.process_time()
    try:
        with _limits():
            read()
    except Exception as error:
        if not isinstance(error, known) and exit_code(error) is None and not isinstance(error, OSError):
            raise
        assert str(error).strip(), "an error that says nothing"
        count.errors += 1
        return False
    else:
        count.results += 1
        return True
    finally:
        spent = time.process_time() - started
        count.seconds, count.slowest = count.seconds + spent, max(count.slowest, spent)


@contextmanager
def _limits():
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _too_slow(*_):
    raise AssertionError(f"more than {SECONDS} s of processor time")
