"""Options that every verb has which reads data sets of others."""

from __future__ import annotations

from typing import Annotated

import typer

from ..data.conventions import Gripper

GripperOption = Annotated[
    Gripper | None, typer.Option("--gripper", help="What 1 means in data sets of others.", show_default="what its values say")
]
CameraOption = Annotated[
    str | None, typer.Option("--camera", help="LeRobot sets: column of the main camera.", show_default="as told by its name")
]
