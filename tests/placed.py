"""A policy and a suite that write down where Ray placed them: lines of JSON in `placed` in the working directory of the test."""

import json
from dataclasses import dataclass
from pathlib import Path

from fakes import ToySuite, Walk


def note(path: Path, kind: str) -> None:
    """Add a line: kind, node and GPUs of this process."""
    import ray

    here = ray.get_runtime_context()
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps([kind, here.get_node_id(), here.get_accelerator_ids()["GPU"]]) + "\n")


class Placed(Walk):
    """Walks."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = Path(file)

    def setup(self, context):
        super().setup(context)
        note(self.file, "replica")


@dataclass(frozen=True)
class PlacedSuite(ToySuite):
    """The toy suite."""

    def make_env(self, options):
        note(Path(options.assets) / "placed", "environment")
        return super().make_env(options)


toy = PlacedSuite("toy")
