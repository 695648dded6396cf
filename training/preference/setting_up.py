"""Putting a labeller together from checkpoints on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...policies.nora.weights import digest
from ..datasets import Pictures
from ..world_model import checkpoint
from ..world_model.latents import Latents
from ..world_model.stage import action_bounds
from .labelling import Imagination, Labeller, LabelSettings
from .sampler import open_sampler


def open_labeller(
    settings: LabelSettings,
    policy: str,
    shown: Callable[[int], Pictures],
    world_model: Path | None,
    watched: Callable[[int], Pictures],
    latents: Path,
) -> tuple[Labeller, dict[str, Any]]:
    """A labeller, and the facts that decide its labels beside the settings.

    Args:
        settings: what is asked.
        policy: checkpoint that answers.
        shown: size -> where the policy's pictures come from.
        world_model: folder of a world model; None where no reward looks at a goal.
        watched: size -> where the world model's frames come from, one of every step.
        latents: folder that keeps what the encoder made of them.
    """
    sampler = open_sampler(policy, settings.head, temperature=settings.temperature)
    imagination = _imagination(world_model, watched, latents) if world_model and settings.needs_world() else None
    about = {"policy": policy, "policy_sha256": sampler.digest, **sampler.facts()}
    if world_model and imagination:
        about |= {"world_model": str(world_model), "world_model_sha256": digest([world_model / checkpoint.WEIGHTS])}
    return Labeller(settings, sampler, shown(sampler.model.config.image_size), imagination), about


def _imagination(folder: Path, watched: Callable[[int], Pictures], latents: Path) -> Imagination:
    world = checkpoint.load(folder)
    found = Latents(latents, world, watched(world.config.image_size))
    return Imagination(world, found, action_bounds(checkpoint.settings(folder)["norm_stats"]))
