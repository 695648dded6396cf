"""`run --video`: videos of a run's episodes, rendered after it from their actions."""

import json
from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs.errors import Interrupted
from nora_bench.harness.replay import video
from nora_bench.results.report.videos import video_path
from nora_bench.results.store.reader import read_run

ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="pip install imageio-ffmpeg")

MIXED = ("--tasks", 0, "--max-steps", 7, "--workers", 1)
"""Ten episodes, some of which need more than seven steps."""


def with_video(played):
    return {key for key in played.records if video_path(played.folder, key)}


def test_no_video_is_rendered_by_default(bench):
    assert not (bench(*MIXED).folder / "videos").exists()


def test_failures_are_rendered(bench):
    played = bench(*MIXED, "--video", "failures")
    assert played.code == 0
    assert with_video(played) == {key for key, record in played.records.items() if not record.success}
    assert 0 < len(with_video(played)) < 10


def test_every_step_is_rendered(bench):
    played = bench("--episodes", 1, "--video", "all", policy="fakes:Stagger")
    assert with_video(played) == set(played.records)
    for key, record in played.records.items():
        frames, _ = ffmpeg.count_frames_and_secs(str(video_path(played.folder, key)))
        assert frames == record.steps + 1


def test_rendering_follows_the_run_and_changes_no_result(bench, monkeypatch):
    def render(run, *args):
        statuses.append(run.metadata.status)
        return render_videos(run, *args)

    statuses, render_videos = [], video.render_videos
    monkeypatch.setattr(video, "render_videos", render)
    plain, with_videos = bench(*MIXED, out="plain"), bench(*MIXED, "--video", "all", out="rendered")
    assert with_videos.trajectories == plain.trajectories
    assert statuses == ["finished"]


def test_progress_and_folder_are_printed(bench):
    played = bench("--tasks", 0, "--episodes", 2, "--video", "all")
    assert "video 1/2: toy/task0/init0/seed0@toy/plain\nvideo 2/2: " in played.out
    assert f"videos: 2 new in {played.folder / 'videos'}" in played.out


def test_videos_are_rendered_in_plan_order(bench):
    played = bench("--tasks", 0, "--episodes", 3)
    run, notes = read_run(played.folder), []
    planned = [f"toy/task0/init{number}/seed0@toy/plain" for number in range(3)]
    video.render_videos(replace(run, records=tuple(played.records[key] for key in reversed(planned))), "all", notes.append)
    assert [note.split(": ")[1] for note in notes] == planned


def test_resumed_run_renders_only_missing_videos(bench):
    bench(*MIXED, "--video", "failures")
    again = bench("--resume", "--video", "all")
    succeeded = sum(bool(record.success) for record in again.records.values())
    assert f"videos: {succeeded} new" in again.out
    assert with_video(again) == set(again.records)


def test_different_replay_is_reported_and_leaves_no_video(bench):
    played = bench("--tasks", 0, "--episodes", 2)
    key, record = next(iter(played.records.items()))
    np.save(played.folder / record.actions, np.load(played.folder / record.actions) / 2)
    ended = bench("--resume", "--video", "all", "--json")
    videos = json.loads(ended.out)["videos"]
    assert (ended.code, videos["written"]) == (1, 1)
    assert videos["failed"] == [f"{key}: the replay DIFFERS from the recorded trajectory"]
    assert with_video(ended) == set(played.records) - {key}


def test_missing_actions_are_reported_and_the_others_rendered(bench):
    played = bench("--tasks", 0, "--episodes", 2)
    record = next(iter(played.records.values()))
    (played.folder / record.actions).unlink()
    ended = bench("--resume", "--video", "all")
    assert (ended.code, len(with_video(ended))) == (1, 1)
    assert "not rendered because the replay differs: 1" in ended.out


def test_episode_with_an_error_is_not_rendered(bench, trouble):
    assets = trouble({"kind": "scene_check", "phase": "reset"})
    played = bench("--tasks", 0, "--episodes", 2, "--assets", assets, "--video", "all", "--workers", 1)
    assert (played.code, len(with_video(played))) == (1, 1)


def test_missing_ffmpeg_is_reported_before_the_run(bench, monkeypatch):
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    played = bench("--video", "all")
    assert (played.code, played.folder.exists()) == (3, False)
    assert "pip install imageio-ffmpeg" in played.err


def test_rendering_can_be_stopped_and_resumed(bench):
    played = bench("--tasks", 0, "--episodes", 2)
    stops = iter([False, True])
    with pytest.raises(Interrupted, match="after 1 of 2 videos"):
        video.render_videos(read_run(played.folder), "all", print, lambda: next(stops))
    assert len(with_video(bench("--resume", "--video", "all"))) == 2


def test_report_embeds_the_videos_of_a_run(bench, cli, tmp_path):
    played = bench("--tasks", 0, "--episodes", 1, "--video", "all")
    assert cli("report", played.folder, "--out", tmp_path / "report.html").code == 0
    assert "data:video/mp4;base64," in (tmp_path / "report.html").read_text()


@pytest.mark.libero
@pytest.mark.slow
def test_libero_episode_of_a_policy_without_images_is_rendered(bench):
    args = ("--tasks", 0, "--episodes", 1, "--max-steps", 5, "--workers", 1, "--video", "all")
    played = bench(*args, suite="libero_goal", policy="random")
    assert (played.code, played.run["gl"]["backend"]) == (0, "none"), played.err
    (key,) = with_video(played)
    frames, _ = ffmpeg.count_frames_and_secs(str(video_path(played.folder, key)))
    assert frames == 6
