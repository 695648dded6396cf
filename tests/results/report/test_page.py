import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nora_bench.results.report.page import page
from nora_bench.results.report.videos import stratified_sample, video_path
from nora_bench.results.store.writer import safe_name

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


def load_browser():
    """The browser driver beside this file."""
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["browser"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def runs(run, libero, record):
    """Two runs on the same scenes; the first has an error, a bad chunk, and a name that is hard to quote."""
    extra = [
        record("libero_goal", 0, 30, success=None, error="step: </script><b>NaN"),
        record("libero_goal", 1, 30, success=False, success_any=True, chunk_status={"ok": 3, "malformed": 2}),
    ]
    first = run("a&b", [*libero(tasks=3, inits=30, failures=5, suites=("libero_goal",)), *extra], commit={"sha": "c0ffee"})
    return [first, run("second", libero(tasks=3, inits=30, failures=12, suites=("libero_goal",)))]


@pytest.fixture
def video(tmp_path):
    """A half-second video of 64 x 64 pixels."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="videos need imageio-ffmpeg").get_ffmpeg_exe()
    path = tmp_path / "video.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=20:duration=0.5", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg, "-loglevel", "error", *source, str(path)], check=True)
    return path


def give_videos(run, video, count):
    (run.folder / "videos").mkdir()
    for record in run.records[:count]:
        shutil.copy(video, run.folder / "videos" / f"{safe_name(record.key)}.mp4")


@pytest.mark.parametrize(
    "part",
    [
        "Results",
        "Tasks",
        "Success over steps",
        "Comparison",
        "How episodes ended",
        "Where the time went",
        "Episodes",
        "Provenance",
    ],
)
def test_the_page_has_every_section(runs, part):
    assert f"<h2>{part}</h2>" in page(runs)


def test_page_loads_no_external_resources(runs):
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page(runs))


def test_texts_of_records_cannot_become_code(runs):
    assert "</script><b>" not in page(runs)


def test_endings_are_grouped_and_counted(runs):
    text = page(runs)
    assert "reached the goal, but not by the protocol" in text
    assert "reached the step limit" in text


def test_provenance_holds_the_commit(runs):
    assert "c0ffee" in page(runs)


def test_one_run_needs_no_comparison(runs):
    assert "<h2>Comparison</h2>" not in page(runs[:1])


def test_a_run_without_finished_episodes_still_has_a_page(run):
    assert "<h2>Provenance</h2>" in page([run("empty", [])])


def test_videos_of_failures_come_first_where_room_is_short(runs, video):
    give_videos(runs[0], video, 30)
    size = video.stat().st_size * 4 / 3 / 2**20
    clips = json.loads(re.search(r'id="videos">(.*?)</script>', page(runs[:1], megabytes=5.5 * size))[1])
    assert len(clips) == 5
    assert all(re.search(r"init[0-4]/", name) for name in clips)


def test_a_fair_sample_takes_every_kind_in_turn(record):
    recorded = [("r", record(init=i, success=i < 18)) for i in range(20)]
    assert sum(not r.success for _, r in stratified_sample(recorded, 4)) == 2


def test_a_video_is_found_by_its_episodes_key(runs, video):
    give_videos(runs[0], video, 1)
    assert video_path(runs[0].folder, runs[0].records[0].key).suffix == ".mp4"
    assert video_path(runs[0].folder, runs[0].records[1].key) is None


def test_the_command_writes_the_page(cli, runs, tmp_path):
    assert cli("report", *(r.folder for r in runs), "--out", tmp_path / "r.html").code == 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


@pytest.fixture
def opened(runs, video, tmp_path):
    """The page of both runs, with videos, open in a browser."""
    give_videos(runs[0], video, 8)
    (tmp_path / "report.html").write_text(page(runs, sample=4), encoding="utf-8")
    with load_browser().browser(str(CHROMIUM), tmp_path / "profile") as browser:
        browser.open(tmp_path / "report.html")
        yield browser


def choose(field, value):
    """Script that fills a field of the list's filters."""
    return f"{{ const f = document.getElementById('{field}'); f.value = '{value}'; f.dispatchEvent(new Event('input')); }}"


ROWS = "[...document.querySelectorAll('#episodes tbody tr')]"


@needs_browser
def test_in_a_browser_the_page_renders_and_asks_for_nothing(opened):
    assert opened.run(f"{ROWS}.length") == 100
    assert opened.run("document.querySelectorAll('.heat tbody tr').length") == 3
    assert opened.run("document.querySelectorAll('polyline').length") == 2
    assert (opened.requests, opened.complaints) == ([], [])


@needs_browser
def test_the_browser_itself_refuses_requests(opened):
    assert opened.run("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


@needs_browser
def test_in_a_browser_videos_play(opened):
    seen = "document.querySelector('.videos video')"
    assert opened.run("document.querySelectorAll('.videos video').length") == 5  # gallery 4, failure class 1
    advanced = f"new Promise(done => {{ {seen}.ontimeupdate = event => event.target.currentTime > 0 && done(true) }})"
    assert opened.run(f"{seen}.play().then(() => {advanced})")
    assert opened.run(f"{seen}.videoWidth") == 64


@needs_browser
def test_in_a_browser_a_failures_video_opens_from_the_list(opened):
    opened.run(choose("outcome", "failure"))
    opened.run("[...document.querySelectorAll('#episodes button')].find(b => b.title === 'play').click()")
    assert opened.run("document.getElementById('video').open")
    assert opened.run("document.querySelector('#video video').src.startsWith('data:video/mp4')")


@needs_browser
def test_in_a_browser_an_episode_without_video_says_how_to_see_it(opened):
    opened.run("[...document.querySelectorAll('#episodes button')].find(b => b.title !== 'play').click()")
    assert "nora-bench replay" in opened.run("document.querySelector('#video pre').textContent")


@needs_browser
def test_in_a_browser_the_list_sorts(opened):
    click = "document.querySelector('#episodes th[data-column=steps]').click()"
    steps = f"{ROWS}.map(row => Number(row.cells[6].textContent))"
    rising = opened.run(f"{click}; {steps}")
    falling = opened.run(f"{click}; {steps}")
    assert (rising[0], falling[0]) == (100, 300)
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


@needs_browser
@pytest.mark.parametrize(
    ("field", "value", "count"),
    [("outcome", "error", 1), ("run", "second", 90), ("find", "init7/", 6), ("suite", "libero_goal", 182)],
)
def test_in_a_browser_the_list_filters(opened, field, value, count):
    opened.run(choose(field, value))
    assert opened.run("document.getElementById('count').textContent").endswith(f"of {count} episodes")


@needs_browser
def test_on_a_phone_the_page_is_no_wider_than_the_screen(opened):
    opened.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    assert opened.run("document.documentElement.scrollWidth") <= 390


@needs_browser
def test_in_dark_mode_the_page_is_dark_and_its_text_light(opened):
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    back, ink = (opened.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert max(map(int, re.findall(r"\d+", back)[:3])) < 60
    assert min(map(int, re.findall(r"\d+", ink)[:3])) > 200
