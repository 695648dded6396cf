import numpy as np
import pytest
from nora_bench.training.data.dataset import Chunking, Dataset, bounds_of, statistics
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.data.readers import split

from ..made import Numbered, made


def dataset(*demonstrations, every=2, **options):
    stats = {suite: bounds_of(entry, "extremes") for suite, entry in statistics(demonstrations).items()}
    return Dataset(demonstrations, Numbered(every), stats, Chunking(5), **options)


def test_every_image_has_an_example():
    assert [dataset(made(steps=12))[i].step for i in range(6)] == [0, 2, 4, 6, 8, 10]


def test_image_of_an_example_is_of_its_first_step():
    data = dataset(made(0, pushed=[3]), made(1))
    assert all((data[i].image == data[i].step).all() for i in range(len(data)))


def test_example_has_the_key_of_its_demonstration():
    first, second = made(0, steps=4), made(1, steps=4)
    assert [dataset(first, second)[i].key for i in range(4)] == [first.key, first.key, second.key, second.key]


def test_labels_are_the_experts_actions():
    found = made()
    example = dataset(found)[1]
    stats = bounds_of(statistics([found])[found.suite], "extremes")
    assert stats.unnormalise(example.chunk)[:, :6] == pytest.approx(found.labels[2:7, :6], abs=1e-6)


def test_the_gripper_becomes_an_opening():
    data = dataset(made(steps=12))
    assert set(data[0].chunk[:, 6]) == {1.0} and set(data[5].chunk[:, 6]) == {0.0}


def test_chunks_that_overlap_a_push_are_no_examples():
    data = dataset(made(steps=12, pushed=[5]))
    assert [data[i].step for i in range(len(data))] == [0, 6, 8, 10]


def test_actions_after_the_end_are_marked():
    data = dataset(made(steps=12))
    assert data[5].mask.tolist() == [True, True, False, False, False]


def test_batch_stacks_its_examples():
    data = dataset(made(0), made(1))
    batch = data.batch([7, 2])
    assert np.array_equal(batch.images, np.stack([data[7].image, data[2].image]))
    assert np.array_equal(batch.actions, np.stack([data[7].chunk, data[2].chunk]))
    assert batch.actions.dtype == np.float32 and batch.mask.shape == (2, 5) and len(batch.instructions) == 2


def test_each_suite_is_scaled_by_its_own_statistics():
    narrow, wide = made(0), made(1, suite="libero_goal")
    wide.labels[:, :6] *= 3.0
    data = dataset(narrow, wide)
    assert np.array_equal(data[0].chunk, data[6].chunk)


def test_suite_without_statistics_is_rejected():
    with pytest.raises(DataError, match="no statistics for libero_goal"):
        Dataset([made(suite="libero_goal")], Numbered(), {"libero_object": bounds_of(statistics([made()])["libero_object"])})


def test_demonstrations_of_pushes_alone_are_rejected():
    with pytest.raises(DataError, match="no chunk"):
        dataset(made(pushed=range(12)))


def test_a_split_is_by_episode_and_keeps_everything():
    everything = [made(number, steps=2) for number in range(200)]
    training, validation = split(everything, 0.2)
    assert {d.key for d in training}.isdisjoint(d.key for d in validation)
    assert len(training) + len(validation) == 200 and 20 <= len(validation) <= 60


def test_a_set_that_grows_keeps_its_split():
    some, more = [made(n, steps=2) for n in range(30)], [made(n, steps=2) for n in range(60)]
    grown = {d.key for d in split(more, 0.3)[1]}
    assert {d.key for d in split(some, 0.3)[1]} == {d.key for d in some} & grown


@pytest.mark.parametrize("episodes", [1, 2])
def test_split_always_keeps_a_training_episode(episodes):
    training, validation = split([made(number, steps=2) for number in range(episodes)], 1.0)
    assert (len(training), len(validation)) == (1, episodes - 1)
