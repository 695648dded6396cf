"""Import of hf-libero without its side effects: no prompt on stdin, no `~/.libero`, no output on stdout."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import types
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...errors import SuiteError
from ...paths import write_problem

WITHOUT_DEPENDENCIES = ("robosuite==1.4.0", "hf-libero==0.1.4", "bddl==1.0.1")
"""Installed with `--no-deps`; the dependencies that they really need are in the extra `[libero]`."""
INSTALL = f"pip install 'nora-bench[libero]' && pip install --no-deps {' '.join(WITHOUT_DEPENDENCIES)}"
MUJOCO_PINS = ("3.2.3", "3.2.7")
"""Bit-identical physics; later versions change images (3.3.3) and contacts (3.4.0): docs/reference/libero.md."""


def libero_root() -> Path:
    """Folder `libero/libero` of the installed hf-libero, located without importing it. Raises SuiteError."""
    spec = importlib.util.find_spec("libero")
    if spec is None or not spec.submodule_search_locations:
        raise SuiteError(f"hf-libero is not installed. Type: {INSTALL}")
    root = Path(next(iter(spec.submodule_search_locations))) / "libero"
    if not (root / "bddl_files").is_dir():
        raise SuiteError(f"the installed package `libero` at {root.parent} is not hf-libero. Type: {INSTALL}")
    return root


def task_file(suite: str, task: str) -> Path:
    """BDDL file of a task, by its name. Raises SuiteError where hf-libero is missing."""
    return libero_root() / "bddl_files" / suite / f"{task}.bddl"


def init_folder(suite: str) -> Path:
    """Folder of a suite's `.pruned_init` and `.init` files. Raises SuiteError where hf-libero is missing."""
    return libero_root() / "init_files" / suite


def check_versions() -> None:
    """Raise SuiteError for a MuJoCo other than the versions behind published results."""
    try:
        mujoco = version("mujoco")
    except PackageNotFoundError:
        raise SuiteError(f"mujoco is not installed. Type: {INSTALL}") from None
    if mujoco not in MUJOCO_PINS:
        raise SuiteError(
            f"MuJoCo {mujoco} differs in physics or rendering from {' or '.join(MUJOCO_PINS)}, which LIBERO's published results "
            "used. Type: pip install mujoco==3.2.3 (Python 3.13: mujoco==3.2.7)"
        )


def import_libero(assets: Path, cache: Path, *, gl: str) -> None:
    """Import LIBERO's environments so that they read `assets`; idempotent.

    Must run before any other import of mujoco's GL code: robosuite chooses the GL backend at import.

    Args:
        assets: folder laid out as LIBERO's own `assets`.
        cache: folder for numba's compiled helpers; if it is not writable, each process compiles them anew.
        gl: `egl`, `osmesa` or `none`.

    Raises:
        SuiteError: a package is missing or has an unsupported version.
    """
    check_versions()
    root = libero_root()
    if "libero.libero.envs" not in sys.modules:
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache / "numba"))
        _choose_gl(gl)
        _set_macros()
    with _quiet():
        try:
            package = _import_package(root, assets, cache)
            import_module("libero.libero.envs.env_wrapper")
        except ImportError as error:
            raise SuiteError(f"LIBERO cannot be imported ({error}). Type: {INSTALL}") from None
    sys.modules["robosuite"].macros = sys.modules["robosuite.macros"]  # type: ignore[attr-defined]  as an import sets it
    from .memory import mujoco

    mujoco.set_mju_user_warning(_warn)
    package._assets_path_cache = str(assets)  # type: ignore[attr-defined]


def _warn(message: str) -> None:
    """Print MuJoCo's warnings to stderr instead of a MUJOCO_LOG.TXT in the working directory."""
    print(f"mujoco: {message}", file=sys.stderr, flush=True)


def _import_package(root: Path, assets: Path, cache: Path) -> types.ModuleType:
    """`libero.libero` with our paths. It reads them from a file and prompts on stdin without one, so it gets a file of this
    package; nothing is written to the user's home or to a shared cache."""
    before = os.environ.get("LIBERO_CONFIG_PATH")
    os.environ["LIBERO_CONFIG_PATH"] = str(Path(__file__).parent / "config")
    try:
        import libero.libero as package
    finally:
        del os.environ["LIBERO_CONFIG_PATH"]
        if before is not None:
            os.environ["LIBERO_CONFIG_PATH"] = before
    paths = {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": cache / "datasets",
        "assets": assets,
    }
    package.get_libero_path = lambda name: str(paths[name])  # type: ignore[attr-defined]
    return package


def _set_macros() -> None:
    """Change robosuite's settings before its first import: no log file (/tmp/robosuite.log belongs to the first user of the
    machine), and compiled helpers are cached only in a writable folder."""
    spec = importlib.util.find_spec("robosuite")
    name = "robosuite.macros"
    if name in sys.modules or spec is None or not spec.submodule_search_locations:
        return
    source = importlib.util.spec_from_file_location(name, Path(next(iter(spec.submodule_search_locations))) / "macros.py")
    assert source
    assert source.loader
    macros = importlib.util.module_from_spec(source)
    source.loader.exec_module(macros)
    macros.FILE_LOGGING_LEVEL = None  # type: ignore[attr-defined]
    macros.CACHE_NUMBA = not write_problem(_ensure_folder(Path(os.environ["NUMBA_CACHE_DIR"])))  # type: ignore[attr-defined]
    sys.modules[name] = macros


def _ensure_folder(folder: Path) -> Path:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _quiet():  # noqa: ANN202
    """Hide third-party notes at import: robosuite's macro hints, deprecation warnings."""
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def _choose_gl(gl: str) -> None:
    """Set the variables that mujoco and robosuite read at import; `none` also works without a GL library."""
    if gl != "none":
        os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = gl
        return
    os.environ["MUJOCO_GL"] = "disable"
    import mujoco  # noqa: F401  before robosuite overwrites the variable

    stub = types.ModuleType("robosuite.renderers.context.egl_context")
    stub.EGLGLContext = None  # type: ignore[attr-defined]
    sys.modules.setdefault(stub.__name__, stub)
