"""Changes of a built model's looks that the next reset undoes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..memory import mujoco


class Edits:
    """Changes made since the last `undo`, of arrays of a model and of its textures."""

    def __init__(self, model: Any, renderer: Any) -> None:
        """The renderer (None without images) is given the changed textures."""
        self.model, self.renderer = model, renderer
        self._arrays: list[tuple[np.ndarray, Any, np.ndarray]] = []
        self._textures: dict[int, np.ndarray] = {}

    def set(self, array: np.ndarray, index: Any, value: Any) -> None:
        """Assign to a part of one of the model's arrays."""
        self._arrays.append((array, index, np.array(array[index])))
        array[index] = value

    def texture(self, number: int) -> np.ndarray:
        """[height, width, channels] uint8: a texture's present pixels, as a view of the model."""
        model = self.model
        height, width, channels = (int(x[number]) for x in (model.tex_height, model.tex_width, model.tex_nchannel))
        start = int(model.tex_adr[number])
        return model.tex_data[start : start + height * width * channels].reshape(height, width, channels)

    def set_texture(self, number: int, pixels: np.ndarray) -> None:
        """Replace the first three channels of a texture's pixels."""
        present = self.texture(number)
        self._textures.setdefault(number, present.copy())
        present[..., :3] = pixels
        self._upload([number])

    def undo(self) -> None:
        """Restore everything, last change first."""
        while self._arrays:
            array, index, value = self._arrays.pop()
            array[index] = value
        for number, pixels in self._textures.items():
            self.texture(number)[:] = pixels
        self._upload(self._textures)
        self._textures.clear()

    def _upload(self, numbers: Iterable[int]) -> None:
        if self.renderer is None:
            return
        self.renderer.gl.make_current()
        for number in numbers:
            mujoco.mjr_uploadTexture(self.model, self.renderer.context, number)
