"""Stored images without a cache: decoded for each example, equal to cached ones."""

import numpy as np
import pytest
from nora_bench.training.data.dataset import Chunking, Dataset, bounds_of, statistics
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.data.images import ImageSpec
from nora_bench.training.data.readers import read
from nora_bench.training.data.stored_images import DecodedImages

from .. import others
from ..made import made

pytest.importorskip("av", reason="no av: pip install 'nora-bench[train]'")
pytest.importorskip("PIL.Image", reason="no Pillow: pip install 'nora-bench[nora]'")

SPEC = ImageSpec(size=16, frame_stride=2, jpeg=False)
SETS = {
    "images": lambda folder: others.lerobot(folder),
    "video per episode": lambda folder: others.lerobot(folder, video=True),
    "one video": lambda folder: others.lerobot(folder, "v3.0", video=True),
    "rlds": lambda folder: others.rlds(folder),
}


@pytest.mark.parametrize("layout", SETS)
@pytest.mark.parametrize("threads", [1, 3])
def test_images_decoded_on_access_equal_cached_ones(tmp_path, layout, threads):
    data = read([SETS[layout](tmp_path / "milk")])
    stats = {suite: bounds_of(entry, floor=0.1) for suite, entry in statistics(data.demonstrations).items()}
    cache = data.images(tmp_path / "kept", SPEC, "standin")
    cached = Dataset(data.demonstrations, cache, stats, Chunking(2))
    direct = Dataset(data.demonstrations, DecodedImages(cache.of), stats, Chunking(2), threads=threads)
    indices = np.random.default_rng(0).permutation(len(cached))
    before = sorted(tmp_path.rglob("*"))
    found = direct.batch(indices)
    assert sorted(tmp_path.rglob("*")) == before
    wanted = cached.batch(indices)
    assert np.array_equal(found.images, wanted.images) and np.array_equal(found.actions, wanted.actions)
    assert len(np.unique(wanted.images.mean(axis=(1, 2, 3)))) == len(cached)


def test_video_shorter_than_its_rows_is_rejected(tmp_path):
    data = read([others.lerobot(tmp_path / "milk", "v3.0", video=True, short=2)])
    images = DecodedImages(data.images(tmp_path / "kept", SPEC, "standin").of).get(data.demonstrations[-1])
    assert images[0].shape == (16, 16, 3)
    with pytest.raises(DataError, match=r"\.mp4"):
        images[len(images) - 1]


def test_rendered_images_need_the_cache():
    class Rendered:
        def of(self, demonstration):
            return self

    with pytest.raises(DataError, match=r"image_cache=true"):
        DecodedImages(Rendered().of).get(made())
