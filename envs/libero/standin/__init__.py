"""Stand-in assets for LIBERO: the official numbers for physics, our own looks.

The same actions give the same states on stand-ins and on the official pack, bit for bit; only pictures differ
(docs/standin_assets.md). physics.json holds the numbers, the other modules draw.
"""

from .cache import VERSION, ensure, fingerprint, folder

__all__ = ["VERSION", "ensure", "fingerprint", "folder"]
