"""Entry point of `accelerate launch -m nora_bench.training.cli.launch` on every device: a part of `nora-bench train`."""

from __future__ import annotations

import sys

from ...harness.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
