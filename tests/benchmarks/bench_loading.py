"""Training examples per second of one core, by the layout of the data set.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_loading.py [--examples 400] [--size 224]

Writes small data sets of 256 x 256 images, reads shuffled examples of each through `training.data.dataset` as training does, and
prints examples per second of CPU time: with the image cache (after it is filled), and decoded for each example
(`data.image_cache: false`). BLAS threads that wait would count as CPU time, hence one.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from nora_bench.envs.types import Array
from nora_bench.training.data.dataset import Chunking, Dataset, bounds_of, statistics
from nora_bench.training.data.images import ImageSpec
from nora_bench.training.data.readers import read
from nora_bench.training.data.stored_images import DecodedImages

from training import others

SIDE, STEPS, EPISODES = 256, 80, 6


def images(episode: int) -> list[Array]:
    """Images of an episode: a smooth texture that moves, with a little noise, about as compressible as a camera's."""
    from PIL import Image

    rng = np.random.default_rng(episode)
    coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC)
    wide = np.asarray(coarse, np.int16)
    noise = rng.integers(-6, 7, (SIDE, SIDE, 1))
    return [np.clip(wide[t : t + SIDE, 2 * t : 2 * t + SIDE] + noise, 0, 255).astype(np.uint8) for t in range(STEPS)]


def jpeg(image: Array) -> dict[str, object]:
    """A cell of a column of images."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return {"bytes": buffer.getvalue(), "path": None}


def video(path: Path, greys: Sequence[int]) -> None:
    """A video as LeRobot writes them, with a key frame every two; a grey is `others.shade`'s, of which only the number counts."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [image for episode in range(max(1, len(greys) // STEPS)) for image in images(episode)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=others.FPS, options={"g": "2", "crf": "23"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write(layout: str, folder: Path) -> None:
    """A data set of that layout: the tests' writers with larger images."""
    cells = {others.shade(e, t): jpeg(image) for e in range(3) for t, image in enumerate(images(e)[:1])}
    others.film = video
    others.png = lambda grey: cells.get(grey, cells[others.shade(0, 0)])
    lengths = (STEPS,) * EPISODES
    if layout == "RLDS":
        others.rlds(folder, lengths=lengths, cameras=("image",))
    else:
        version = "v3.0" if "one file" in layout else "v2.1"
        others.lerobot(folder, version, lengths=lengths, cameras=("image",), video="video" in layout)


def rate(examples: Dataset, count: int) -> float:
    """Examples per second of CPU time."""
    order = np.random.default_rng(0).integers(0, len(examples), count)
    start = time.process_time()
    for first in range(0, count, 16):
        examples.batch(order[first : first + 16])
    return count / (time.process_time() - start)


def main() -> None:
    """Write, read, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    print("| layout | image cache | decoded | decoded, 16 cores |\n| --- | ---: | ---: | ---: |")
    for layout in ("LeRobot, a video per episode", "LeRobot, videos in one file", "LeRobot, images", "RLDS"):
        with tempfile.TemporaryDirectory() as scratch:
            write(layout, Path(scratch) / "milk")
            data = read([Path(scratch) / "milk"])
            stats = {suite: bounds_of(entry, floor=0.1) for suite, entry in statistics(data.demonstrations).items()}
            cache = data.images(Path(scratch) / "kept", ImageSpec(size=options.size, frame_stride=1, jpeg=False), "standin")
            cached, direct = (
                Dataset(data.demonstrations, source, stats, Chunking(5)) for source in (cache, DecodedImages(cache.of))
            )
            rate(cached, len(cached))
            fast, slow = rate(cached, 10 * options.examples), rate(direct, options.examples)
            print(f"| {layout} | {fast:.0f}/s | {slow:.0f}/s | {16 * slow:.0f}/s |", flush=True)


if __name__ == "__main__":
    main()
