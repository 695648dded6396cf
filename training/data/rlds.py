"""Reads RLDS data sets from their TFRecord files, without TensorFlow.

A record is one episode, a `tf.train.Example`: names such as `steps/action` with the values of all steps on end, images encoded
as JPEG or PNG. Sets with one `action` of seven numbers can be trained on (BridgeData V2, OpenVLA's LIBERO sets); others of the
Open X-Embodiment collection split it into parts whose meaning differs from set to set, and need a conversion first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...envs.types import Array
from .demonstrations import DataError, Demonstration, Source, naming, stored_demonstration
from .tfrecord import Values, record, records, values

RECORDS = re.compile(r"\.tfrecord(-\d+-of-\d+)?$")
TRAIN = re.compile(r"-train\.tfrecord")
"""Files of the split for training; where a set has such files, the others are not read."""
ACTION = "steps/action"
STATES = ("steps/observation/state", "steps/observation/proprio")
INSTRUCTIONS = (
    "steps/language_instruction",
    "steps/observation/natural_language_instruction",
    "steps/observation/language_instruction",
)
IMAGE = re.compile(r"^steps/observation/(\w*(?:image|rgb)\w*)$")
WRIST = re.compile(r"wrist|hand|eye_in", re.IGNORECASE)
MAIN = ("image", "image_0", "rgb", "primary")
"""Usual names of the main camera, the first that a set has."""


@dataclass(frozen=True)
class RldsSet:
    """A data set in a folder."""

    folder: Path
    """Folder of `features.json` and of the records."""
    suite: str
    """Suite of its statistics."""

    @cached_property
    def files(self) -> list[Path]:
        """Files of its records, in order; those of the training split where there are several splits."""
        found = sorted(path for path in self.folder.iterdir() if RECORDS.search(path.name))
        return [path for path in found if TRAIN.search(path.name)] or found

    def demonstrations(self) -> Iterator[Demonstration]:
        """All episodes in order, as stored; one whose instruction changes is split.

        Raises DataError for a set without actions or instructions, or with a damaged file.
        """
        number = 0
        for path in self.files:
            with naming(path, "not a valid part of an RLDS data set"):
                for first, message in records(path):
                    yield from self._episode(number, f"{path.name}@{first}", values(message))
                    number += 1
        if not number:
            raise DataError(f"{self.folder} has no records. Was the set downloaded completely?")

    def _episode(self, number: int, entry: str, found: Values) -> list[Demonstration]:
        """The demonstrations of one record."""
        instructions = [text.decode() for text in _texts(found, self.folder)]
        count = len(instructions)
        actions, states = _rows(found, ACTION, count, self.folder), np.zeros((count, 0))
        if name := next((name for name in STATES if name in found), None):
            states = _rows(found, name, count, self.folder)
        edges = [0, *(i for i in range(1, count) if instructions[i] != instructions[i - 1]), count]
        return [
            stored_demonstration(
                f"{self.suite}/episode{number}",
                self.suite,
                instructions[first],
                actions[first:last],
                states[first:last],
                Source(self.folder, entry, np.arange(first, last), count),
            )
            for first, last in pairwise(edges)
        ]

    def camera(self, wanted: str = "primary") -> str:
        """The feature of a camera's images, judged by the first record.

        Args:
            wanted: a name under `steps/observation`; `primary`: the one that does not move with the gripper; `wrist`: that does.

        Raises:
            DataError: no such camera.
        """
        found = sorted(match[1] for name in self._first if (match := IMAGE.match(name)))
        fitting = [name for name in found if bool(WRIST.search(name)) == (wanted == "wrist")]
        usual = [name for name in MAIN if name in fitting]
        choice = wanted if wanted in found else usual[0] if usual else fitting[0] if len(fitting) == 1 else ""
        if not choice or wanted not in ("primary", "wrist", *found):
            raise DataError(
                f"{self.folder} has no camera {wanted!r}. Choose one: --camera {' or '.join(found) or '(none found)'}"
            )
        return f"steps/observation/{choice}"

    @cached_property
    def _first(self) -> list[str]:
        """Names of the first record's features."""
        for path in self.files:
            with naming(path, "not a valid part of an RLDS data set"):
                for _, message in records(path):
                    return list(values(message))
        raise DataError(f"{self.folder} has no records. Was the set downloaded completely?")

    def images(self, entry: str, name: str) -> list[bytes]:
        """The encoded images of an episode. Raises DataError for a missing feature."""
        file, _, first = entry.rpartition("@")
        path = self.folder / file
        with naming(path, "not a valid part of an RLDS data set"):
            found = values(record(path, int(first))).get(name)
        if not isinstance(found, list):
            raise DataError(f"{path}: the record at byte {first} has no images {name}")
        return found


def find_rlds(folder: Path) -> Path | None:
    """The folder itself, or its newest version (`1.0.0`), if it has an RLDS set's `features.json`."""
    if (folder / "features.json").is_file():
        return folder
    versions = [path for path in folder.glob("*.*.*") if (path / "features.json").is_file()] if folder.is_dir() else []
    return max(versions, key=lambda path: [int(part) if part.isdigit() else -1 for part in path.name.split(".")], default=None)


def _texts(features: Values, folder: Path) -> list[bytes]:
    """Instruction of every step."""
    for name in INSTRUCTIONS:
        if isinstance(found := features.get(name), list) and found:
            return found
    raise DataError(f"{folder} has no instructions: {' or '.join(INSTRUCTIONS)} not found")


def _rows(features: Values, name: str, count: int, folder: Path) -> Array:
    """[count, numbers] float64 of a feature with as many numbers in every step."""
    found = features.get(name)
    if found is None or isinstance(found, list):
        parts = sorted(key for key in features if key.startswith("steps/action"))
        raise DataError(
            f"{folder} has no {name} of numbers; it has {', '.join(parts) or 'no actions'}. nora-bench trains on seven "
            "numbers: deltas of translation (3) and rotation (3), gripper. Convert the set first"
        )
    if not len(found) or len(found) % count:
        raise ValueError(f"{name} has {len(found)} numbers in {count} steps")
    rows = np.asarray(found, np.float64).reshape(count, -1)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return rows
