"""What a user gets: the wheel, built from a copy of this checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from test_layers import MAY_IMPORT, ROOT

EPOCH = "1700000000"
"""Time that every file of a wheel bears; a release takes its commit's."""
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__", "tests", "docs")


def build(folder: Path) -> Path:
    """A wheel of this checkout, built from a copy as a release is."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("building needs setuptools of this interpreter: pip install 'setuptools>=77'")
    source, out = folder / "copy", folder / "wheel"
    shutil.copytree(ROOT, source, ignore=LEFT_OUT, copy_function=shutil.copyfile)  # as a fresh checkout: new times and modes
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, env=environment, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Path of the wheel."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def wheel(built):
    """Names of the files in the wheel."""
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_same_checkout_gives_the_same_wheel_to_the_byte(built, tmp_path):
    assert build(tmp_path).read_bytes() == built.read_bytes()


def test_the_wheel_holds_nora_bench_and_nothing_beside_it(wheel):
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"nora_bench"}


def sources():
    """Files that belong into the wheel: code and data of the packages."""
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*"):
            if (
                path.is_file()
                and path.suffix in {".py", ".toml", ".json", ".csv", ".npz", ".txt", ".safetensors", ".onnx", ".md"}
                and "__pycache__" not in path.parts
            ):
                yield "nora_bench/" + path.relative_to(ROOT).as_posix()


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    assert set(sources()) - set(wheel) == set()


def test_what_import_nora_bench_gives_is_in_the_wheel(wheel):
    assert "nora_bench/__init__.py" in wheel


def test_the_command_is_in_the_wheel(wheel):
    assert any(name.endswith("entry_points.txt") for name in wheel)


def test_the_licence_is_in_the_wheel(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_every_folder_with_code_is_a_package():
    without = [path.parent for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py") if not _is_package(path.parent)]
    assert without == []


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").exists()
