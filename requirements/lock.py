"""Writes the lock files beside it: `tox -e lock`. Newest versions that pyproject.toml allows, every file with its hash.

PyTorch and what only it brings (gigabytes of CUDA under NVIDIA's licence) are left out: which build is right depends on
the machine, and the tests that need it say so.
"""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
EXTRAS = ("libero", "simpler", "train", "dev")
OF_TORCH = ("torch", "triton", "nvidia-", "cuda-")
COMPILE = ("uv", "pip", "compile", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet")
PLATFORM = ("--python-platform", "x86_64-manylinux_2_28")


def main() -> None:
    """Compile both files."""
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    lock(["pyproject.toml", *extras, *PLATFORM], HERE / "tests-3.11.lock")
    lock([str(HERE / "simulators.in"), "--no-deps"], HERE / "simulators.lock")


def lock(words: list[str], out: Path) -> None:
    """Compile one file, PyTorch's packages left out."""
    made = subprocess.run([*COMPILE, *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    kept: list[str] = []
    wanted = True
    for line in made.splitlines(keepends=True):
        if not line.startswith(" "):
            wanted = not line.startswith(OF_TORCH)
        if wanted:
            kept.append(line)
    out.write_text("".join(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
