"""Writes the files beside it: `tox -e lock`. Newest versions that pyproject.toml allows.

- `constraints.txt`: names and versions alone, for Python 3.11 to 3.13; the README's commands install against it
  (`pip install -c`), so that a dependency released tomorrow breaks nobody who begins tomorrow.
- `tests-3.11.lock`, `simulators.lock`: every file with its hash, for `tox -e locked` and `tox -e audit`.

`python requirements/lock.py --keep` resolves anew and keeps the versions of `constraints.txt` where they still fit;
`--compare` prints what is installed in another version than `constraints.txt` says (`tox -e newest`).
What only PyTorch brings (gigabytes of CUDA under NVIDIA's licence) is left out: PyTorch itself names exact versions.
"""

import argparse
import re
import subprocess
import tempfile
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
CONSTRAINTS = HERE / "constraints.txt"
EXTRAS = ("libero", "simpler", "train", "dev")
PYTHONS = ("3.11", "3.12", "3.13")
TORCH = "torch==2.13.0"
"""The one that the tests pass with, on a CPU and on a GPU; `.ci/run` takes it from `constraints.txt`."""
OF_TORCH = ("triton", "nvidia-", "cuda-")
COMPILE = ("uv", "pip", "compile", "--no-header", "--no-annotate", "--quiet")
PLATFORM = ("--python-platform", "x86_64-manylinux_2_28")


def main() -> None:
    """Compile all files, or compare."""
    parser = argparse.ArgumentParser(description="Write the files of versions, or compare them with what is installed.")
    parser.add_argument("--keep", action="store_true", help="keep the versions of constraints.txt where they fit")
    parser.add_argument("--compare", action="store_true", help="print what is installed in another version; write nothing")
    asked = parser.parse_args()
    if asked.compare:
        print("\n".join(differences()) or "all as in constraints.txt")
        return
    found = {python: resolve(python, CONSTRAINTS if asked.keep and CONSTRAINTS.exists() else None) for python in PYTHONS}
    CONSTRAINTS.write_text(merged(found), encoding="utf-8")
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    pins = ["--generate-hashes", "--constraint", str(CONSTRAINTS)]
    lock(["pyproject.toml", *extras, "--python-version", PYTHONS[0], *PLATFORM, *pins], HERE / "tests-3.11.lock")
    lock([str(HERE / "simulators.in"), "--no-deps", "--python-version", PYTHONS[0], *pins[:1]], HERE / "simulators.lock")


def resolve(python: str, preferred: Path | None) -> dict[str, str]:
    """Name -> version of everything that the extras need on that Python; versions of `preferred` where they fit."""
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    with tempfile.TemporaryDirectory() as scratch:
        torch, out = Path(scratch) / "torch.txt", Path(scratch) / "out.txt"
        torch.write_text(TORCH, encoding="utf-8")
        if preferred:  # uv keeps what an output file holds already
            out.write_text(preferred.read_text(encoding="utf-8"), encoding="utf-8")
        words = ["pyproject.toml", *extras, "--python-version", python, *PLATFORM, "--constraint", str(torch)]
        subprocess.run([*COMPILE, *words, "--output-file", str(out)], cwd=ROOT, check=True)
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", out.read_text(encoding="utf-8"), re.MULTILINE))


def merged(found: dict[str, dict[str, str]]) -> str:
    """One line per package, or one per Python with a marker where their versions differ."""
    lines = []
    for name in sorted(set().union(*found.values())):
        if name.startswith(OF_TORCH):
            continue
        versions = {python: packages[name] for python, packages in found.items() if name in packages}
        if len(set(versions.values())) == 1:
            lines.append(f"{name}=={next(iter(versions.values()))}\n")
        else:
            lines += [f"{name}=={version} ; python_version == '{python}'\n" for python, version in versions.items()]
    return "".join(lines)


def lock(words: list[str], out: Path) -> None:
    """Compile one file with hashes, PyTorch and its packages left out."""
    made = subprocess.run([*COMPILE, *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    kept: list[str] = []
    wanted = True
    for line in made.splitlines(keepends=True):
        if not line.startswith(" "):
            wanted = not line.startswith((*OF_TORCH, "torch=="))
        if wanted:
            kept.append(line)
    out.write_text("".join(kept), encoding="utf-8")


def differences() -> list[str]:
    """Packages installed here in a version that `constraints.txt` does not name, a line each."""
    named: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE):
        named.setdefault(name, set()).add(version)
    installed = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version.partition("+")[0] for one in distributions()}
    return [
        f"{name}: {' or '.join(sorted(versions))} -> {installed[name]}"
        for name, versions in sorted(named.items())
        if name in installed and installed[name] not in versions
    ]


if __name__ == "__main__":
    main()
