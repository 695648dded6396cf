"""Moments of SimplerEnv's episodes from snapshots."""

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.simpler.contacts import Contact, Snapshot
from nora_bench.envs.simpler.moments import MomentReader
from nora_bench.envs.simpler.setup import setup_of
from nora_bench.envs.suites import get

CAN = "opened_coke_can"
OPENINGS = {
    **dict.fromkeys(("link_finger_left", "link_finger_tip_left"), np.array([0.0, 1, 0])),
    **dict.fromkeys(("link_finger_right", "link_finger_tip_right"), np.array([0.0, -1, 0])),
}
HELD = [Contact("link_finger_left", CAN, np.array([0.0, 1, 0])), Contact("link_finger_right", CAN, np.array([0.0, -1, 0]))]


def setup_for(task):
    suite = get("simpler-vm")
    found = next(one for one in suite.tasks if one.name == task)
    return setup_of(EpisodeSpec("simpler-vm", found.id, 0, 0, suite.default_protocol, found.variants[0]))


def snapshot(contacts):
    return Snapshot(np.array([[0, 0, 0.9, 1.0, 0, 0, 0]]), np.array([[0, 0, 0.9]]), {}, contacts, OPENINGS)


@pytest.mark.parametrize(
    ("contacts", "touched", "held"),
    [
        ([], False, False),
        (HELD[:1], True, False),
        (HELD, True, True),
        ([Contact("table", CAN, np.array([0, 0, 1.0]))], False, False),
    ],
)
def test_contacts_of_the_fingers_touch_and_hold(contacts, touched, held):
    reader = MomentReader(setup_for("pick_coke_can"), (CAN,))
    moment = reader.read(snapshot(contacts), np.zeros(3), closing=True, success=False)
    assert (moment.touched.tolist(), moment.held.tolist()) == ([touched], [held])
    assert np.isnan(moment.targets).all()


def test_drawer_is_a_part_that_the_robot_touches():
    setup = setup_for("open_drawer")
    drawer = setup.configuration.subtask
    reader = MomentReader(setup, ())
    now = Snapshot(drawers={drawer: 0.07}, contacts=[Contact(f"{drawer}_drawer", "link_gripper", np.ones(3))])
    moment = reader.read(now, np.zeros(3), closing=False, success=False)
    assert (moment.travel.tolist(), moment.part_touched.tolist()) == ([0.07], [True])
    assert (reader.roles.objects, reader.roles.terms[0].part) == ((), 0)
