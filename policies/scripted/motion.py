"""Closed-loop motion: a hand pose to go to becomes the benchmark's next action.

The expert never commands the pose it wants. It moves a reference there with bounded speed and acceleration, and
steers the hand after the reference: what it does is smooth, stops without overshoot, and pushes back when pushed.
Numbers of the arm (robosuite's OSC_POSE at 20 Hz, measured): a constant unit action settles at 12.5 mm or, up to
half a unit, 0.12 rad a step per unit.
"""

from __future__ import annotations

import math

import numpy as np

from .geometry import Array, Pose, clipped, exp, log, norm
from .steps import Aim

STEP_POSITION, STEP_ROTATION = 0.0125, 0.12
"""What a constant unit action moves the hand in a step, settled: metres, radians."""
MAX_SPEED, MAX_ACCELERATION = 0.0112, 0.0022
"""Of the reference: metres per step, per step squared."""
BRAKING = 0.7
"""Part of the acceleration that is planned with for stopping."""
MAX_TURN, MAX_TURN_ACCELERATION = 0.05, 0.009
"""Of the reference: radians per step, per step squared."""
GAIN, DAMPING = 0.8, 1.2
"""Of a lag behind the reference, and of a difference in speed, in steps and parts of a step."""
CREEP, CREEP_RATE, CREEP_LIMIT = 0.010, 0.12, 0.006
"""A lag of less than this (m) behind a reference at rest is summed up at this rate, to at most this much (m a step)."""
LEASH, TURN_LEASH = 0.025, 0.25
"""How far the reference may run ahead of a hand that is held up: metres, radians."""
MAX_CHANGE = 0.3
"""Largest change of an action component between two steps."""


class Tracker:
    """Keeps the reference and answers actions for one episode."""

    full = np.ones(6)
    """[6] a full action."""

    def __init__(self, hand: Pose) -> None:
        self._reference = hand
        self._speed = np.zeros(3)
        self._turn = np.zeros(3)
        self._creep = np.zeros(3)
        self._last = np.zeros(6)
        self._hand = hand

    def action(self, hand: Pose, aim: Aim) -> Array:
        """[7] action that brings the hand one step nearer to the aim."""
        self._advance(hand, aim)
        lag = self._reference.position - hand.position
        move = _steering(lag, self._speed, hand.position - self._hand.position) + self._creeping(lag)
        turned = log(hand.rotation @ self._hand.rotation.T)
        turn = _steering(log(self._reference.rotation @ hand.rotation.T), self._turn, turned)
        self._hand = hand
        wanted = np.clip(np.concatenate([move / STEP_POSITION, turn / STEP_ROTATION]), -1.0, 1.0)
        self._last = self._last + np.clip(wanted - self._last, -MAX_CHANGE, MAX_CHANGE)
        return np.append(self._last, aim.grip)

    def _creeping(self, lag: Array) -> Array:
        """What takes away the lag that the arm's posture control leaves where it is stretched."""
        resting = norm(self._speed) < 0.1 * MAX_SPEED and norm(lag) < CREEP
        self._creep = clipped(self._creep + CREEP_RATE * lag, CREEP_LIMIT) if resting else 0.8 * self._creep
        return self._creep

    def _advance(self, hand: Pose, aim: Aim) -> None:
        """Move the reference one step."""
        way = aim.pose.position - self._reference.position
        turn = log(aim.pose.rotation @ self._reference.rotation.T)
        self._speed = _steered(self._speed, way, aim.speed * MAX_SPEED, MAX_ACCELERATION, aim.through)
        self._turn = _steered(self._turn, turn, MAX_TURN, MAX_TURN_ACCELERATION, False)
        position = self._reference.position + self._speed
        rotation = exp(self._turn) @ self._reference.rotation
        position = hand.position + clipped(position - hand.position, LEASH)
        rotation = exp(clipped(log(rotation @ hand.rotation.T), TURN_LEASH)) @ hand.rotation
        self._reference = Pose(position, rotation)


def _steered(speed: Array, way: Array, fastest: float, change: float, through: bool) -> Array:
    """The next speed (per step) of something that is to cover `way`, at most `change` away from the present speed."""
    distance = norm(way)
    if distance < 1e-9:
        return speed + clipped(-speed, change)
    brake = BRAKING * change
    stopping = math.sqrt(brake**2 / 4 + 2 * brake * distance) - brake / 2
    wanted = fastest if through else min(fastest, stopping, distance)
    return speed + clipped(way * (wanted / distance) - speed, change)


def _steering(lag: Array, speed: Array, moved: Array) -> Array:
    """The step to command: the reference's, corrected for the hand's lag and for its own last step."""
    return speed + GAIN * lag + DAMPING * (speed - moved)
