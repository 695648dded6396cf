"""`run --video`: films of a run's episodes, made after it from their actions."""

import json
from dataclasses import replace

import numpy as np
import pytest
from nora_bench.harness.errors import Interrupted
from nora_bench.harness.replay import video
from nora_bench.results.report.videos import video_path
from nora_bench.results.store.reader import read_run

ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="pip install imageio-ffmpeg")

MIXED = ("--tasks", 0, "--max-steps", 7, "--workers", 1)
"""Ten episodes, some of which need more than seven steps."""


def filmed(played):
    return {key for key in played.records if video_path(played.folder, key)}


def test_no_video_is_made_unasked(bench):
    assert not (bench(*MIXED).folder / "videos").exists()


def test_failures_are_filmed(bench):
    played = bench(*MIXED, "--video", "failures")
    assert played.code == 0
    assert filmed(played) == {key for key, record in played.records.items() if not record.success}
    assert 0 < len(filmed(played)) < 10


def test_all_are_filmed_step_by_step(bench):
    played = bench("--episodes", 1, "--video", "all", policy="fakes:Stagger")
    assert filmed(played) == set(played.records)
    for key, record in played.records.items():
        frames, _ = ffmpeg.count_frames_and_secs(str(video_path(played.folder, key)))
        assert frames == record.steps + 1


def test_filming_changes_no_result_and_comes_when_the_run_is_over(bench, monkeypatch):
    def film(run, *args):
        statuses.append(run.metadata.status)
        return render_videos(run, *args)

    statuses, render_videos = [], video.render_videos
    monkeypatch.setattr(video, "render_videos", film)
    plain, with_films = bench(*MIXED, out="plain"), bench(*MIXED, "--video", "all", out="filmed")
    assert with_films.trajectories == plain.trajectories
    assert statuses == ["finished"]


def test_progress_and_place_are_told(bench):
    played = bench("--tasks", 0, "--episodes", 2, "--video", "all")
    assert "video 1/2: toy/task0/init0/seed0@toy/plain\nvideo 2/2: " in played.out
    assert f"videos: 2 new in {played.folder / 'videos'}" in played.out


def test_films_come_in_the_order_of_the_plan_whatever_finished_first(bench):
    played = bench("--tasks", 0, "--episodes", 3)
    run, notes = read_run(played.folder), []
    planned = [f"toy/task0/init{number}/seed0@toy/plain" for number in range(3)]
    video.render_videos(replace(run, records=tuple(played.records[key] for key in reversed(planned))), "all", notes.append)
    assert [note.split(": ")[1] for note in notes] == planned


def test_a_finished_run_can_be_filmed_later_and_nothing_is_filmed_twice(bench):
    bench(*MIXED, "--video", "failures")
    again = bench("--resume", "--video", "all")
    succeeded = sum(bool(record.success) for record in again.records.values())
    assert f"videos: {succeeded} new" in again.out
    assert filmed(again) == set(again.records)


def test_a_replay_that_differs_is_reported_and_leaves_no_video(bench):
    played = bench("--tasks", 0, "--episodes", 2)
    key, record = next(iter(played.records.items()))
    np.save(played.folder / record.actions, np.load(played.folder / record.actions) / 2)
    ended = bench("--resume", "--video", "all", "--json")
    said = json.loads(ended.out)["videos"]
    assert (ended.code, said["written"]) == (1, 1)
    assert said["failed"] == [f"{key}: the replay DIFFERS from the recorded trajectory"]
    assert filmed(ended) == set(played.records) - {key}


def test_actions_that_are_gone_are_reported_and_the_others_filmed(bench):
    played = bench("--tasks", 0, "--episodes", 2)
    record = next(iter(played.records.values()))
    (played.folder / record.actions).unlink()
    ended = bench("--resume", "--video", "all")
    assert (ended.code, len(filmed(ended))) == (1, 1)
    assert "not filmed, because the replay is not the record: 1" in ended.out


def test_an_episode_that_ended_in_an_error_is_not_filmed(bench, trouble):
    assets = trouble({"kind": "premise", "phase": "reset"})
    played = bench("--tasks", 0, "--episodes", 2, "--assets", assets, "--video", "all", "--workers", 1)
    assert (played.code, len(filmed(played))) == (1, 1)


def test_what_videos_need_is_asked_for_before_the_run(bench, monkeypatch):
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    played = bench("--video", "all")
    assert (played.code, played.folder.exists()) == (3, False)
    assert "pip install imageio-ffmpeg" in played.err


def test_filming_can_be_stopped_and_goes_on_later(bench):
    played = bench("--tasks", 0, "--episodes", 2)
    stops = iter([False, True])
    with pytest.raises(Interrupted, match="after 1 of 2 videos"):
        video.render_videos(read_run(played.folder), "all", print, lambda: next(stops))
    assert len(filmed(bench("--resume", "--video", "all"))) == 2


def test_the_report_shows_the_videos_of_a_run(bench, cli, tmp_path):
    played = bench("--tasks", 0, "--episodes", 1, "--video", "all")
    assert cli("report", played.folder, "--out", tmp_path / "report.html").code == 0
    assert "data:video/mp4;base64," in (tmp_path / "report.html").read_text()


@pytest.mark.libero
@pytest.mark.slow
def test_a_libero_episode_of_a_policy_that_does_not_look_is_filmed(bench):
    args = ("--tasks", 0, "--episodes", 1, "--max-steps", 5, "--workers", 1, "--video", "all")
    played = bench(*args, suite="libero_goal", policy="random")
    assert (played.code, played.run["gl"]["backend"]) == (0, "none"), played.err
    (key,) = filmed(played)
    frames, _ = ffmpeg.count_frames_and_secs(str(video_path(played.folder, key)))
    assert frames == 6
