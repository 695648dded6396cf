"""How preference pairs become a loss: the options where paper and released code differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RELEASED_BETA = 250.0
"""Factor of the released code on mean squared errors."""


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """How pairs become a loss. The defaults mend the released code where the paper says otherwise."""

    beta: float = RELEASED_BETA
    """Of the flow's squared errors as reduced by `reduction`. The paper gives no number; the released one is 250 on means."""
    reduction: Literal["mean", "sum"] = "mean"
    """Squared errors of a chunk are averaged (released) or summed (paper)."""
    shared_noise: bool = True
    """One noise and time per pair (paper), or one for winner and one for loser (released)."""
    time: Literal["uniform", "beta"] = "uniform"
    """Distribution of the flow's time: uniform (paper) or as in supervised training (released)."""
    reference: Literal["full", "shared-prefix"] = "full"
    """A frozen copy of the whole model, or of the expert alone, which reads the prefix of the trained backbone (released)."""
    token_beta: float = 0.1
    """Of summed log probabilities, for the FAST head."""


RELEASED = DpoSettings(shared_noise=False, time="beta", reference="shared-prefix")
"""As the released code does it."""
