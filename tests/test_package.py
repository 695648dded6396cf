"""What a user gets: the wheel, built from a copy of this checkout."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from test_layers import MAY_IMPORT, ROOT

LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__", "tests", "docs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names of the files in the wheel."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("building needs setuptools of this interpreter: pip install 'setuptools>=77'")
    source, out = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=LEFT_OUT)
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return archive.namelist()


def test_the_wheel_holds_nora_bench_and_nothing_beside_it(wheel):
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"nora_bench"}


def sources():
    """Files that belong into the wheel: code and data of the packages."""
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*"):
            if (
                path.is_file()
                and path.suffix in {".py", ".toml", ".json", ".csv", ".npz", ".txt"}
                and "__pycache__" not in path.parts
            ):
                yield "nora_bench/" + path.relative_to(ROOT).as_posix()


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    assert set(sources()) - set(wheel) == set()


def test_the_command_is_in_the_wheel(wheel):
    assert any(name.endswith("entry_points.txt") for name in wheel)


def test_the_licence_is_in_the_wheel(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_every_folder_with_code_is_a_package():
    without = [path.parent for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py") if not _is_package(path.parent)]
    assert without == []


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").exists()
