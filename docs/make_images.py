"""Make the images of README and documentation from real runs with stand-in assets. Not part of the site.

    nora-bench run --suite libero --tasks 0 --episodes 2 > run.log 2>&1
    nora-bench run --suite libero --tasks 0 --episodes 1 --policy scripted --assets standin --workers 1 --out run1
    nora-bench replay run1 'libero_goal/task0/init0/seed0@libero/openvla' --video Goal.mp4   # and one of each suite
    python docs/make_images.py run.log Spatial.mp4 Object.mp4 Goal.mp4 Long.mp4 'Visual matching.mp4' 'Variant aggregation.mp4'

`report.png` and `table.png` are screenshots of `nora-bench report` and `nora-bench table --format html` by a headless browser.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).parent / "images"
SIDE, TITLE = 180, 22
"""Pixels of a frame's side and of a column's title."""


def terminal(log: Path) -> None:
    """`run.svg`: the command and its output as a terminal shows them, 84 columns wide."""
    console = Console(record=True, width=84, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ nora-bench run --suite libero --tasks 0 --episodes 2", style="bold"))
    for line in log.read_text(encoding="utf-8").rstrip().splitlines():
        console.print(Text(line, style="cyan" if "episodes" in line and line[:1].isdigit() else ""))
    console.save_svg(str(IMAGES / "run.svg"), title="nora-bench")


def frames(video: Path) -> list[Image.Image]:
    """First, middle and last frame of a video, the first camera alone, as squares."""
    reader = imageio_ffmpeg.read_frames(str(video))
    width, height = next(reader)["size"]
    read = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    return [_square(read[index]) for index in (0, len(read) // 2, len(read) - 1)]


def _square(frame: np.ndarray) -> Image.Image:
    height, width, _ = frame.shape
    left = 0 if width == 2 * height else (width - height) // 2  # two cameras side by side, or the middle of one
    return Image.fromarray(frame[:, left : left + height]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def rollouts(videos: list[Path]) -> None:
    """`suites.jpg`: a column per video, from top to bottom its first, middle and last frame."""
    sheet = Image.new("RGB", (SIDE * len(videos), TITLE + 3 * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for column, video in enumerate(videos):
        pen.text((column * SIDE + 4, 4), video.stem, fill="black", font=ImageFont.load_default(size=14))
        for row, frame in enumerate(frames(video)):
            sheet.paste(frame, (column * SIDE, TITLE + row * SIDE))
    sheet.save(IMAGES / "suites.jpg", quality=82)


if __name__ == "__main__":
    terminal(Path(sys.argv[1]))
    rollouts([Path(name) for name in sys.argv[2:]])
