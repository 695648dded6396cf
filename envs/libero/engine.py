"""MuJoCo under its own name. Its bindings are compiled and carry no types, so type checkers are told not to ask.

Imported only after `install.import_libero`: what draws is decided when mujoco is first imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

mujoco: Any = import_module("mujoco")
