"""Each SimplerEnv task in each setting, run on stand-ins by a policy that uses images, with its table and a video."""

import pytest

pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")

from nora_bench.envs.errors import MissingRequirementError
from nora_bench.harness.rendering.vulkan import find_vulkan
from nora_bench.results.store.reader import read_run

LOOKER = '''
import hashlib
import numpy as np
from nora_bench.envs.base import ObservationSpec
from nora_bench.policies.base import ActionChunk, BasePolicy


class Looker(BasePolicy):
    """Moves by the digest of what it sees: equal trajectories mean equal images, to the pixel."""

    observation_spec = ObservationSpec(cameras=("primary",))

    def act_one(self, observation):
        seen = hashlib.sha256(np.ascontiguousarray(observation.env_observation.images["primary"]).tobytes()).digest()
        return ActionChunk((np.frombuffer(seen[:7], np.uint8) / 127.5 - 1.0)[None] * 0.05)
'''
SUITES = ("simpler-vm", "simpler-va")
TASKS = ("pick_coke_can", "move_near", "open_drawer", "close_drawer")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    try:
        find_vulkan()
    except MissingRequirementError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("simpler-runs")
    (folder / "looker.py").write_text(LOOKER)
    return folder


@pytest.fixture
def play(cli, home, monkeypatch):
    """Plays two steps of episodes of both suites on stand-ins into a folder of that name."""
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setenv("NORA_BENCH_HOME", str(home / "cache"))

    def run(name, *options, suites=SUITES):
        chosen = [option for suite in suites for option in ("--suite", suite)]
        how = ("--policy", "looker:Looker", "--assets", "standin", "--max-steps", "2", "--workers", "1")
        return cli("run", *chosen, *how, "--out", home / name, *options)

    return run


@pytest.fixture
def played(home, play):
    """One episode of every task and setting, played once for all tests."""
    if not (home / "all").exists():
        assert play("all", "--episodes", "1").code == 0
    return read_run(home / "all")


def test_every_task_runs_in_both_settings(played):
    assert {(record.suite, record.task) for record in played.records} == {(suite, task) for suite in SUITES for task in TASKS}
    assert [record.error for record in played.records if record.error] == []


def test_every_record_names_the_renderer(played):
    ways = {record.task: record.renderer for record in played.records}
    if played.metadata.gl["backend"].startswith("vulkan-rt"):
        assert ways["open_drawer"] == "raytraced"
    else:
        assert ways["open_drawer"] == "raster instead of raytraced"
    assert ways["pick_coke_can"] == "raster"
    assert played.metadata.gl["renderer"]


def test_table_marks_standin_assets(cli, played):
    shown = cli("table", played.folder, "--format", "markdown").out
    assert "stand-in assets" in shown
    assert "Pick Coke Can" in shown


def test_single_episode_has_the_same_images(home, play, played):
    last = next(record for record in played.records if (record.suite, record.task) == ("simpler-va", "close_drawer"))
    assert play("alone", "--tasks", "close_drawer", "--episodes", "1", suites=("simpler-va",)).code == 0
    alone = {record.key: record.trajectory_sha256 for record in read_run(home / "alone").records}
    assert alone == {last.key: last.trajectory_sha256}


def test_episode_is_rendered_as_video(cli, home, play, played):
    pytest.importorskip("imageio_ffmpeg")
    key = played.records[0].key
    shown = cli("replay", played.folder, key, "--video", home / "video.mp4")
    assert shown.code == 0
    assert "bit-identical" in shown.out
    assert (home / "video.mp4").stat().st_size > 1000


def test_widowx_episodes_are_rendered_as_videos(cli, home, play):
    pytest.importorskip("imageio_ffmpeg")
    assert (
        play("widowx", "--tasks", "carrot_on_plate,eggplant_in_basket", "--episodes", "1", suites=("simpler-widowx",)).code == 0
    )
    keys = [record.key for record in read_run(home / "widowx").records]
    assert len(keys) == 2
    for number, key in enumerate(keys):
        path = home / f"widowx{number}.mp4"
        shown = cli("replay", home / "widowx", key, "--video", path)
        assert shown.code == 0
        assert "bit-identical" in shown.out
        assert path.stat().st_size > 1000


def test_contact_sheet_shows_every_task(cli, home, play):
    image = pytest.importorskip("PIL.Image")
    assert (
        cli(
            "assets",
            "contact-sheet",
            "--suite",
            "simpler-vm",
            "--pack",
            "standin",
            "--image-size",
            64,
            "--out",
            home / "sheet.png",
        ).code
        == 0
    )
    assert image.open(home / "sheet.png").size == (4 * (80 + 8) + 8, 64 + 2 * 8)
