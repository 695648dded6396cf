"""Messages and bytes per decision, and where a run saturates on paper.

    python tests/benchmarks/bench_scaling.py

Bytes are those of the messages themselves, so no other program on the machine changes them. The estimate is that of a closed
network with one server (exact mean value analysis): N worlds think for Z seconds between two decisions, then wait their turn
at something that serves one after the other in S seconds.
"""

from __future__ import annotations

import argparse

import numpy as np
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.harness.execution import wire
from nora_bench.policies.base import Observation
from nora_bench.policies.remote import codec, messages

ACTIONS = np.zeros((5, 7))
ANSWER = {"actions": ACTIONS, "status": "ok", "server_timing": {"infer_ms": 1.0, "batch": 8}}
DONE_BYTES = 220 * 7 * 8
"""Actions of a LIBERO episode that uses up its budget of 220 steps."""


def observation(cameras: int, size: int) -> Observation:
    """One of LIBERO's shape."""
    images = {name: np.zeros((size, size, 3), np.uint8) for name in ("primary", "wrist")[:cameras]}
    proprio = {"eef_pos": np.zeros(3), "eef_quat": np.zeros(4), "gripper_qpos": np.zeros(2), "joint_pos": np.zeros(7)}
    spec = EpisodeSpec("libero_spatial", 0, 0, 0, "libero/openvla")
    return Observation(
        spec, 3, 15, "pick up the black bowl and place it on the plate", EnvObservation(images=images, proprio=proprio)
    )


def local_bytes(one: Observation) -> tuple[int, int]:
    """Bytes out of a worker and into it."""
    view = {"images": dict(one.env_observation.images), "proprio": dict(one.env_observation.proprio), "privileged": {}}
    look = wire.encode({"type": "look", "step": one.step, "view": view})
    return len(look), len(wire.encode({"type": "chunk", "actions": ACTIONS}))


def served_bytes(one: Observation) -> tuple[int, int]:
    """Bytes to `nora-bench serve` and back."""
    return len(codec.pack(messages.exact(one, client="0" * 32))), len(codec.pack(ANSWER))


def ray_bytes(one: Observation) -> tuple[int, int]:
    """Bytes to a replica and back, as Ray pickles them (out-of-band buffers counted)."""
    from ray import cloudpickle

    return tuple(_pickled(cloudpickle, value) for value in (("0" * 32, one, None), ANSWER))  # type: ignore[return-value]


def _pickled(pickle: object, value: object) -> int:
    buffers: list = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)  # type: ignore[attr-defined]
    return len(head) + sum(buffer.raw().nbytes for buffer in buffers)


def rate(worlds: int, think_s: float, serve_s: float) -> float:
    """Decisions per second of so many worlds."""
    waiting, found = 0.0, 0.0
    for number in range(1, worlds + 1):
        response = serve_s * (1 + waiting)
        found = number / (think_s + response)
        waiting = found * response
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--think", type=float, default=0.17, help="seconds of a world between two decisions")
    parser.add_argument("--runner", type=float, default=200e-6, help="seconds of the runner per decision")
    args = parser.parse_args()
    print(f"{'shown':>24} {'local out/in':>18} {'served out/in':>18} {'ray out/in':>18}  bytes per decision; 2 messages each")
    for cameras, size in ((0, 0), (1, 224), (2, 256)):
        one = observation(cameras, size)
        cells = " ".join(f"{out:>10,}/{back:>7,}" for out, back in (local_bytes(one), served_bytes(one), ray_bytes(one)))
        print(f"{f'{cameras} pictures of {size} px' if cameras else 'proprioception':>24} {cells}")
    print(f"\nworlds think {args.think:g} s; one runner takes {1e6 * args.runner:.0f} us per decision, one policy 20 ms per 16")
    print(f"{'worlds':>8} {'runner alone':>14} {'one policy':>12} {'8 replicas':>12}  decisions per second")
    for worlds in (16, 64, 256, 1000, 4000):
        policy, eight = rate(worlds, args.think, 0.02 / 16), 8 * rate(max(1, worlds // 8), args.think, 0.02 / 16)
        print(f"{worlds:>8,} {rate(worlds, args.think, args.runner):>14,.0f} {policy:>12,.0f} {eight:>12,.0f}")


if __name__ == "__main__":
    main()
