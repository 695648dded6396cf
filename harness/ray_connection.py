"""Connection to a Ray cluster."""

import logging
from typing import Any

from ..envs.errors import MissingRequirementError


def connect() -> Any:
    """Ray, connected to `RAY_ADDRESS`, to this machine's cluster, or to one started now. Raises MissingRequirementError."""
    try:
        import ray
    except ImportError:
        raise MissingRequirementError("--executor ray needs the extra [ray]: pip install 'nora-bench[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise MissingRequirementError(
                f"Ray cluster not reachable ({error}). Type: ray start --head, or unset RAY_ADDRESS"
            ) from None
    return ray
