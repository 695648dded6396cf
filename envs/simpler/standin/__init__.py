"""Stand-in assets for SimplerEnv in upstream's layout: its numbers for physics, our own looks (docs/standin_assets.md)."""

from .cache import VERSION, ensure, fingerprint, folder

__all__ = ["VERSION", "ensure", "fingerprint", "folder"]
