"""A policy and a suite that write down where Ray placed them."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fakes import ToySuite, Walk


def note(path: Path, kind: str) -> None:
    """Add a line: kind, node and GPUs of this process."""
    import ray

    here = ray.get_runtime_context()
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps([kind, here.get_node_id(), *here.get_accelerator_ids()["GPU"]]) + "\n")


def places(path: Path, kind: str) -> Counter[tuple[str, ...]]:
    """How many processes of that kind are where."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return Counter((*place,) for known, *place in lines if known == kind)


class Placed(Walk):
    """Walks once so many environments have started."""

    def __init__(self, file: Path, environments: int = 1) -> None:
        super().__init__()
        self.file, self.environments = Path(file), environments

    def setup(self, context):
        super().setup(context)
        note(self.file, "replica")

    def act(self, observations):
        while places(self.file, "environment").total() < self.environments:
            time.sleep(0.1)
        return super().act(observations)


@dataclass(frozen=True)
class PlacedSuite(ToySuite):
    """The toy suite; the file is `placed` in its asset folder."""

    def make_env(self, options):
        note(Path(options.assets) / "placed", "environment")
        return super().make_env(options)


toy = PlacedSuite("toy")
