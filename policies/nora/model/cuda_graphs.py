"""CUDA graphs: a function of fixed shapes, captured once and replayed without the host's launch overhead."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before the capture, so that libraries have chosen kernels and allocated workspaces."""


def capture(function: Callable[..., Tensor], backend: str | None = None) -> Callable[..., Tensor]:
    """The function, captured at its first call where its tensors are on a CUDA device; the plain function elsewhere.

    `backend` compiles it first, as a whole (`torch.compile`); that takes minutes and fuses small kernels.

    The function may change its own tensors, not its arguments, and must not branch on the host. Arguments keep their
    shapes. The result is valid until the next call.
    """
    return _Captured(torch.compile(function, backend=backend, fullgraph=True, dynamic=False) if backend else function)


class _Captured:
    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.output: Tensor | None = None

    def __call__(self, *arguments: Tensor) -> Tensor:
        device = next((argument.device for argument in arguments if argument.is_cuda), None)
        if device is None:
            return self.function(*arguments)
        with torch.cuda.device(device):  # streams and captures are the current device's, which need not be the weights'
            return self._on(arguments)

    def _on(self, arguments: tuple[Tensor, ...]) -> Tensor:
        if self.graph is None:
            self._capture(arguments)
        for buffer, argument in zip(self.inputs, arguments, strict=True):
            buffer.copy_(argument)
        assert self.graph is not None and self.output is not None
        self.graph.replay()
        return self.output

    def _capture(self, arguments: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(argument.clone() for argument in arguments)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        # Other threads of the process (another policy's, a loader's) may use the GPU while this one captures.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.output = self.function(*self.inputs)
