"""Reader of LIBERO's stored initial states that executes nothing of their content.

The `.pruned_init` files are zip archives written by `torch.save`: one pickle with one numpy array. No unpickler is used:
opcodes are interpreted one by one, and any that an array does not need is rejected.
"""

from __future__ import annotations

import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SuiteError
from ..safe_io import zip_errors

REINSTALL = "Type: pip install --force-reinstall --no-deps hf-libero==0.1.4"

MAX_BYTES = 64 * 2**20
"""An initial-state file of 50 states takes about 50 kB; anything near this is something else."""


RECONSTRUCT = (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"))
ARRAY_GLOBALS = (*RECONSTRUCT, ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"))
"""Globals in the pickle of an array."""
MAX_OPCODES = 1000
"""Opcodes in a pickle; an array has about 50."""


class _Array:
    """A numpy array before its contents are known."""


@dataclass(frozen=True)
class _Type:
    """A number type before its byte order is known."""

    name: str


class _Reader:
    """Interpreter for the pickle of one array. Nothing is imported or called: each request is compared with those of an array
    and performed here. Raises ValueError for any other."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.marks: list[int] = []

    def read(self, data: bytes) -> Any:
        """Value of the pickle."""
        for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if step > MAX_OPCODES:
                raise ValueError("its pickle has more opcodes than an array needs")
            self._step(opcode.name, argument)
        (value,) = self.stack
        return value

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"):
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            start = self.marks.pop() if name == "TUPLE" else len(stack) - int(name[-1])
            stack[start:] = [tuple(stack[start:])]
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument)
        elif name in ("REDUCE", "BUILD"):
            target, argument = stack[-2:]
            stack[-2:] = [_call(target, argument) if name == "REDUCE" else _build(target, argument)]
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"its pickle has the opcode {name}, which no array needs")

    def _name(self, argument: str | None) -> None:
        if argument is None:
            name, self.stack[-2:] = tuple(self.stack[-2:]), []
        else:
            name = tuple(argument.split(" "))
        if name not in ARRAY_GLOBALS:
            raise ValueError(f"its pickle names {'.'.join(map(str, name))}, which no array needs")
        self.stack.append(name)


CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def _call(function: Any, arguments: Any) -> Any:
    if function in RECONSTRUCT:
        return _Array()
    if function == ("numpy", "dtype") and arguments[0] in ("f8", "f4", "i8", "i4"):
        return _Type(arguments[0])
    if function == ("_codecs", "encode") and arguments[1:] == ("latin1",):
        return arguments[0].encode("latin1")
    raise ValueError(f"it calls {function} with {arguments!r:.80}")


def _build(target: Any, state: Any) -> Any:
    if isinstance(target, _Type) and state[1] in ("<", ">"):
        return np.dtype(state[1] + target.name)
    if isinstance(target, _Array):
        _, shape, dtype, columns_first, data = state
        if isinstance(dtype, np.dtype) and isinstance(data, bytes):
            return np.frombuffer(data, dtype).reshape(shape, order="F" if columns_first else "C")
    raise ValueError("it is not built like an array")


def load_init_states(path: Path, length: int) -> np.ndarray:
    """The states of one task: [states, length] float64, each row time, qpos, qvel.

    Raises:
        SuiteError: the file is missing, is no such archive, contains code, or has another shape, another type, or
            numbers that are not finite.
    """
    try:
        array = _Reader().read(_pickle_bytes(path))
    except (OSError, ValueError, TypeError, KeyError, EOFError, IndexError, AttributeError, RecursionError) as error:
        raise SuiteError(f"initial states {path} cannot be read: {error}. {REINSTALL}") from None
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim != 2:
        raise SuiteError(f"initial states {path} hold {type(array).__name__}, not one float64 matrix. {REINSTALL}")
    if array.shape[1] != length:
        raise SuiteError(
            f"initial states {path} have rows of {array.shape[1]} numbers; this task's state has {length}. {REINSTALL}"
        )
    if not np.isfinite(array).all():
        raise SuiteError(f"initial states {path} hold numbers that are not finite. {REINSTALL}")
    return np.ascontiguousarray(array)


def _pickle_bytes(path: Path) -> bytes:
    with zip_errors(), zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith("/data.pkl")]
        if len(members) != 1:
            raise ValueError("no single data.pkl inside")
        if members[0].file_size > MAX_BYTES:
            raise ValueError(f"data.pkl has {members[0].file_size} bytes")
        return archive.read(members[0])
