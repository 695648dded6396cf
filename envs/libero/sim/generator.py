"""Numpy's global generator, from which LIBERO samples: callers outside must not be affected."""

from __future__ import annotations

import numpy as np


class GlobalGeneratorKept:
    """Context in which numpy's global generator may be used: restored at its end."""

    def __enter__(self) -> None:
        self.kept = np.random.get_state()

    def __exit__(self, *_: object) -> None:
        np.random.set_state(self.kept)
