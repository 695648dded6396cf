import json
import subprocess
import sys

import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation
from nora_bench.envs.errors import InputError
from nora_bench.harness.replay.video import STRIP, open_video_writer, side_by_side

KEY = "toy/task1/init2/seed0@toy/plain"


@pytest.fixture
def run(cli, tmp_path, monkeypatch):
    """A run of three toy episodes, all successes, whose suite is trusted."""
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy")
    folder = tmp_path / "run"
    args = ("--suite", "fakes:toy", "--policy", "fakes:Walk", "--init-states", "2", "--workers", "1", "--out", folder)
    assert cli("run", *args).code == 0
    return folder


def record_of(run, key=KEY):
    lines = [json.loads(line) for line in (run / "episodes.jsonl").read_text().splitlines()]
    return next(record for record in lines if record["key"] == key)


def change_record(run, **fields):
    path = run / "episodes.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, **(fields if line["key"] == KEY else {})}) + "\n" for line in lines))


def test_replay_is_bit_identical(cli, run):
    ended = cli("replay", run, KEY)
    assert ended.code == 0
    assert "bit-identical to the recorded one" in ended.out


def test_json_tells_the_verdict(cli, run):
    result = json.loads(cli("replay", run, KEY, "--json").out)
    assert result["same"] is True
    assert result["replayed_sha256"] == record_of(run)["trajectory_sha256"]


def test_changed_actions_are_detected(cli, run):
    path = run / record_of(run)["actions"]
    actions = np.load(path)
    actions[0] *= 0.5
    np.save(path, actions)
    ended = cli("replay", run, KEY)
    assert ended.code == 1
    assert "the trajectory DIFFERS" in ended.out


def test_changed_versions_and_assets_are_named(cli, run):
    run_json = json.loads((run / "run.json").read_text())
    run_json["versions"]["toy"] = "0.9"
    (run / "run.json").write_text(json.dumps(run_json))
    change_record(run, trajectory_sha256="0" * 64, assets={"pack": "old", "fingerprint": "1111"})
    result = json.loads(cli("replay", run, KEY, "--json").out)
    assert result["same"] is False
    assert result["differences"] == ["toy was 0.9 and is 1", "assets were old 1111 and are toy 0123456789abcdef"]


def test_unknown_key_names_the_nearest(cli, run):
    ended = cli("replay", run, "toy/task1/init3/seed0@toy/plain")
    assert ended.code == 2
    assert KEY in ended.err


def test_episode_with_an_error_is_not_replayed(cli, run):
    change_record(run, actions=None, trajectory_sha256=None, error="world: the toy broke")
    ended = cli("replay", run, KEY)
    assert ended.code == 2
    assert "the toy broke" in ended.err


@pytest.mark.parametrize(
    "damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"junk"), lambda p: np.save(p, np.zeros((1, 1)))]
)
def test_damaged_action_file_is_named(cli, run, damage):
    path = run / record_of(run)["actions"]
    damage(path)
    ended = cli("replay", run, KEY)
    assert ended.code == 2
    assert path.name in ended.err


def test_video_has_an_image_of_every_step(cli, run, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pip install Pillow")
    assert cli("replay", run, KEY, "--video", tmp_path / "seen.gif").code == 0
    with image.open(tmp_path / "seen.gif") as video:
        assert video.n_frames == record_of(run)["steps"] + 1
        assert video.size == (16, 8)


def test_rendering_changes_no_trajectory(cli, run, tmp_path):
    pytest.importorskip("PIL.Image", reason="pip install Pillow")
    assert "bit-identical" in cli("replay", run, KEY, "--video", tmp_path / "seen.png").out


def observations(count):
    return [
        EnvObservation(images={"primary": np.full((8, 8, 3), i, np.uint8), "wrist": np.zeros((8, 8, 3), np.uint8)})
        for i in range(count)
    ]


def write_video(path, count=20):
    with open_video_writer(path, fps=20) as write:
        for observation in observations(count):
            write(observation)


def test_cameras_are_side_by_side():
    image = side_by_side(observations(6)[5])
    assert image.shape == (8, 16, 3)
    assert image[0, 0, 0] == 5
    assert image[0, 15, 0] == 0


def test_control_is_shown_at_the_left_and_the_shorter_of_both_stays(tmp_path):
    image = pytest.importorskip("PIL.Image")
    control = [np.full((8, 16, 3), 100 + i, np.uint8) for i in range(4)]
    with open_video_writer(tmp_path / "a.png", fps=20, control=control) as write:
        for observation in observations(2):
            write(observation)
    stills = np.asarray(image.open(tmp_path / "a.png")).reshape(4, 8, 32, 3)
    assert [(int(still[0, 0, 0]), int(still[0, 16, 0])) for still in stills] == [(100, 0), (101, 1), (102, 1), (103, 1)]


def test_video_of_a_perturbed_episode_shows_the_control_and_the_defects(cli, tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy")
    folder, out = tmp_path / "perturbed", tmp_path / "a.png"
    args = ("--suite", "fakes:toy", "--policy", "fakes:Walk", "--tasks", "1", "--init-states", "2", "--workers", "1")
    assert cli("run", *args, "--perturb", "noise:dropped-3", "--out", folder).code == 0
    assert cli("replay", folder, KEY.replace("@", "+noise-dropped-3@"), "--video", out).code == 0
    still = np.asarray(image.open(out))
    width = still.shape[1] // 2
    assert still[0, :width].any()
    assert not still[0, width:].any()


def test_video_contains_every_observation(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="pip install imageio-ffmpeg")
    write_video(tmp_path / "a.mp4")
    frames, _ = ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4"))
    assert frames == 20


def test_strip_contains_evenly_spaced_stills(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pip install Pillow")
    write_video(tmp_path / "a.png")
    with image.open(tmp_path / "a.png") as strip:
        assert strip.size == (16, 8 * STRIP)
        assert strip.getpixel((0, 8 * STRIP - 1))[0] == 19


@pytest.mark.parametrize(("name", "says"), [("a.txt", r"must end in \.mp4"), ("none/a.mp4", "does not exist")])
def test_unwritable_video_is_rejected_at_once(tmp_path, name, says):
    with pytest.raises(InputError, match=says), open_video_writer(tmp_path / name, fps=20):
        pytest.fail("the block was entered")


def test_interrupted_video_leaves_no_file(tmp_path):
    pytest.importorskip("PIL.Image", reason="pip install Pillow")
    with pytest.raises(ZeroDivisionError), open_video_writer(tmp_path / "a.gif", fps=20) as write:
        write(observations(1)[0])
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_next_video_deletes_the_rest_of_one_whose_process_crashed(tmp_path):
    pytest.importorskip("PIL.Image", reason="pip install Pillow")
    crashed = subprocess.Popen([sys.executable, "-c", ""])
    crashed.wait()
    (tmp_path / f".a.gif.{crashed.pid}.1.gif").touch()
    write_video(tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.gif"]


@pytest.fixture
def breaking(bench, tmp_path):
    """A function that runs two toy episodes and then makes the suite's environment misbehave at a step: `breaking("raise")`."""

    def order(kind):
        folder = tmp_path / "trouble"
        folder.mkdir()
        played = bench("--tasks", 0, "--episodes", 2, "--workers", 1, "--assets", folder, policy="fakes:Stagger")
        orders = [{"kind": kind, "phase": "step", "scene": "toy/task0/init0/seed0"}]
        (folder / "trouble.json").write_text(json.dumps(orders))
        return played.folder, folder

    return order


@pytest.mark.parametrize("kind", ["raise", "nan", "scene_check"])
def test_environment_that_fails_in_a_replay_is_reported_without_traceback(breaking, cli, kind):
    folder, assets = breaking(kind)
    ended = cli("replay", folder, "toy/task0/init0/seed0@toy/plain", "--assets", assets)
    assert (ended.code, "Traceback" in ended.err) == (1, False)
    assert "nora-bench --debug replay" in ended.err


def test_environment_that_fails_in_one_replay_leaves_the_others_verified(breaking, cli):
    folder, assets = breaking("raise")
    verified = json.loads(cli("verify", folder, "--sample", 1, "--json", "--assets", assets).out)
    assert (verified["replayed"], len(verified["differing"])) == (2, 1)


def test_episode_of_a_suite_that_the_run_does_not_name_is_rejected(cli, run):
    change_record(run, suite="nope", key="nope/task1/init2/seed0@toy/plain")
    ended = cli("replay", run, "nope/task1/init2/seed0@toy/plain")
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert cli("verify", run, "--sample", 1).code == 2


def test_actions_of_another_size_are_reported_as_a_difference(cli, run):
    np.save(run / record_of(run)["actions"], np.zeros((record_of(run)["steps"], 2)))
    assert cli("replay", run, KEY).code == 1
    verified = json.loads(cli("verify", run, "--sample", 1, "--json").out)
    assert len(verified["differing"]) == 1
