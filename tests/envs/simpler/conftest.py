import pytest


@pytest.fixture(scope="session")
def simpler_golden(golden):
    """Recordings of the real SimplerEnv."""
    folder = golden / "simpler"
    if not folder.is_dir():
        pytest.skip("no SimplerEnv recordings: NORA_BENCH_GOLDEN names a folder without simpler/")
    return folder


@pytest.fixture(scope="session")
def simpler_official():
    """The official pack's folder."""
    from nora_bench.envs.simpler.assets import packs
    from nora_bench.envs.simpler.assets.required_files import missing_files

    found = next((folder for folder in packs.official_folders() if folder.is_dir() and not missing_files(folder)), None)
    if found is None:
        pytest.skip(f"no official SimplerEnv assets: set {packs.VARIABLE} to a folder that holds ManiSkill2_real2sim")
    return found


@pytest.fixture(scope="session")
def simpler_standin(tmp_path_factory):
    """The generated pack's folder."""
    from nora_bench.envs.simpler.assets.standin import STANDIN

    return STANDIN.ensure(tmp_path_factory.mktemp("simpler-cache"))


@pytest.fixture(scope="session")
def driver():
    """Name of the Vulkan driver that draws here."""
    pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
    from nora_bench.envs.errors import MissingRequirementError
    from nora_bench.harness.rendering.vulkan import find_vulkan

    try:
        return find_vulkan().name
    except MissingRequirementError as error:
        pytest.skip(str(error))
