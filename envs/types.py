"""Names for array types, for annotations; shapes and units stand in the docstrings that use them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = np.ndarray
Float64 = NDArray[np.float64]
