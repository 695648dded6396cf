"""Commands that may not write where permissions forbid it, also when root runs the tests."""

import ctypes
import os
import subprocess

PR_CAPBSET_DROP = 24
LAST_CAPABILITY = 63


def _drop_capabilities():
    """In the child, before it becomes the command: root keeps its name and its files and loses its privileges."""
    libc = ctypes.CDLL(None)
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def run_unprivileged(command, **variables):
    """How the command ended, its output as text."""
    return subprocess.run(
        command,
        env={**os.environ, **variables},
        preexec_fn=_drop_capabilities if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )
