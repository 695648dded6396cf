"""Connection to a Ray cluster."""

import logging
from typing import Any

from .errors import NotAble


def connect() -> Any:
    """Ray, connected: to `RAY_ADDRESS`, to the cluster that runs on this machine, or to one started now. Raises NotAble."""
    try:
        import ray
    except ImportError:
        raise NotAble("--executor ray needs the extra [ray]: pip install 'nora-bench[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise NotAble(f"no Ray cluster can be reached ({error}); type `ray start --head`, or unset RAY_ADDRESS") from None
    return ray
