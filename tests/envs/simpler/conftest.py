import pytest


@pytest.fixture(scope="session")
def simpler_golden(golden):
    """Recordings of the real SimplerEnv."""
    folder = golden / "simpler"
    if not folder.is_dir():
        pytest.skip("no SimplerEnv recordings: NORA_BENCH_GOLDEN names a folder without simpler/")
    return folder
