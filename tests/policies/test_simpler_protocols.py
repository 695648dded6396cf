"""Under SimplerEnv's protocols, models' chunks become the actions that NORA-1.5's wrapper sends to the Google robot."""

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.policies.adapters import Adapter
from nora_bench.policies.base import Observation
from nora_bench.policies.nora.action_stats import Statistics
from scipy.spatial.transform import Rotation

NORA15, CHUNKS = (protocols.get(name) for name in ("simpler/nora-1.5", "simpler/chunks"))
STATS = Statistics({}, None).of("simpler-vm")
SPEC = EpisodeSpec("simpler-vm", 0, 0, 0, "simpler/nora-1.5", "urdf_base/standing")


def told(adapter, *chunks):
    """The actions sent when a new chunk [5, 7], normalised, is predicted at every decision."""
    sent, step = [], 0
    for decision, chunk in enumerate(chunks):
        actions = adapter.actions(Observation(SPEC, decision, step, "pick coke can", EnvObservation()), np.array(chunk), STATS)
        sent += list(actions)
        step += len(actions)
    return np.array(sent)


def chunk(opening=1.0, x=0.0, rotation=(0.0, 0.0, 0.0)):
    return [[x, 0.0, 0.0, *rotation, opening]] * 5


def test_one_action_of_each_chunk_is_played():
    assert len(told(Adapter(NORA15), *[chunk()] * 3)) == 3


def test_whole_chunks_are_played_where_nothing_is_averaged():
    assert len(told(Adapter(CHUNKS), *[chunk()] * 3)) == 15


def test_actions_are_scaled_by_the_google_robots_statistics():
    (low,), (high,) = (told(Adapter(NORA15), chunk(x=x)) for x in (-1.0, 1.0))
    assert (low[0], high[0]) == pytest.approx((-0.22453527510166169, 0.17824687153100965))


def test_the_newest_of_two_chunks_weighs_e_to_the_08_times_as_much():
    old, new = told(Adapter(NORA15), chunk(x=-1.0))[0, 0], told(Adapter(NORA15), chunk(x=1.0))[0, 0]
    share = np.exp(0.8) / (1 + np.exp(0.8))
    assert told(Adapter(NORA15), chunk(x=-1.0), chunk(x=1.0))[1, 0] == pytest.approx((1 - share) * old + share * new)


def test_a_sixth_chunk_drops_the_first():
    chunks = [chunk(x=-1.0), *[chunk(x=1.0)] * 5]
    assert told(Adapter(NORA15), *chunks)[5, 0] == pytest.approx(told(Adapter(NORA15), chunk(x=1.0))[0, 0])


@pytest.mark.parametrize("protocol", [NORA15, CHUNKS], ids=["nora-1.5", "chunks"])
def test_closing_is_sent_once_decided_and_held_for_fifteen_steps(protocol):
    sent = told(Adapter(protocol), chunk(opening=1.0), *[chunk(opening=0.0)] * 30)[:, -1]
    begun = int(np.argmax(np.abs(sent) > 0.5))
    assert 0 < begun <= 5
    assert (sent[begun : begun + 15] == sent[begun]).all()
    assert sent[begun] > 0.5


def test_angles_become_a_rotation_vector():
    roll_pitch_yaw = STATS.unnormalise(np.array(chunk(rotation=(0.9, -0.4, 0.7))))[0, 3:6]
    sent = told(Adapter(NORA15), chunk(rotation=(0.9, -0.4, 0.7)))[0, 3:6]
    about_x, about_y, about_z = (
        Rotation.from_rotvec(angle * axis) for angle, axis in zip(roll_pitch_yaw, np.eye(3), strict=True)
    )
    assert sent == pytest.approx((about_z * about_y * about_x).as_rotvec())


def test_pictures_are_resized_and_neither_cropped_nor_compressed():
    assert dict(NORA15.model_image) == {"size": 224, "filter": "lanczos3"}
