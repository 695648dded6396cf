"""The folder of somebody else's run: run.json, episode lines, action files."""

import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, strategies as st
from nora_bench.envs.errors import PolicyError
from nora_bench.harness.cli import main
from nora_bench.policies.baselines import Replay
from nora_bench.policies.open_loop_replay import from_run
from nora_bench.results.store.integrity import actions_digest, read_actions
from nora_bench.results.store.reader import read_run

from .mutations import as_json, damaged, documents, lines, values
from .reading import reads

ACTIONS = np.arange(35.0).reshape(5, 7)
RUN = {
    "version": 1,
    "name": "theirs",
    "status": "finished",
    "created": "2026-01-01T00:00:00+00:00",
    "finished": None,
    "command": ["nora-bench", "run"],
    "config": {"suite": ["libero_goal"], "max_steps": 5},
    "suites": ["libero_goal"],
    "protocol": {"name": "libero/openvla", "version": 1},
    "backend": "",
    "gl": {"backend": "osmesa", "renderer": "r"},
    "policy": {"name": "theirs", "args": {}, "marks": ["untrained"], "stochastic": False, "fingerprint": {"a": 1}},
    "assets": {"pack": "official", "fingerprint": "0" * 16, "path": "/x"},
    "versions": {"mujoco": "3.2.3"},
    "commit": "c",
    "hardware": {"cpu": "x"},
    "platform": "Linux",
    "counts": {"planned": 2, "done": 2, "errors": 0},
    "until": {"stop": True, "text": "width<10", "low": 0.1, "high": 0.2, "rounds": 1, "episodes": 2, "planned": 3, "saved": 1},
    "utilisation": {"wall_s": 2.0, "policy_s": 1.0, "workers_s": 1.0, "workers": 1, "policy": {"rounds": 3}},
    "sessions": [{"started": "2026-01-01", "finished": None, "status": "killed", "versions": {"mujoco": "3"}, "conditions": "c"}],
    "unfinished": {"libero_goal/task0/init7/seed0@libero/openvla": {"attempts": 2, "policy_losses": 1}},
    "merged": [{"name": "a", "folder": "runs/a", "status": "finished", "counts": {"planned": 2, "done": 2}}],
}


def record(number=0, **changes):
    """A line of `episodes.jsonl`."""
    return {
        "version": 1,
        "key": f"libero_goal/task0/init{number}/seed0@libero/openvla",
        "suite": "libero_goal",
        "task": "open_the_middle_drawer_of_the_cabinet",
        "task_id": 0,
        "variant": "",
        "instruction": "open it",
        "init_state": number,
        "seed": 0,
        "protocol": "libero/openvla",
        "policy": "theirs",
        "success": True,
        "success_any": True,
        "measures": {"partial": True},
        "steps": 5,
        "decisions": 1,
        "chunk_status": {"ok": 1},
        "termination": "success",
        "error": None,
        "attempts": 1,
        "assets": {"pack": "official", "fingerprint": "0" * 16},
        "seconds": {"total": 1.5, "policy": 0.5},
        "actions": "actions/a.npy",
        "actions_sha256": actions_digest(ACTIONS),
        "fixtures": {"stove_1": [0.0, 1.0]},
        "warnings": ["held barely"],
        "trajectory_sha256": f"{number:064}",
        "finished": "2026-01-01T00:00:00+00:00",
        "backend": "",
        "renderer": "raster",
        "cause": "",
        "policy_losses": 1,
        "conditions": "c",
        "origin": "a",
        **changes,
    }


FAILED = record(1, success=None, termination="error", error="step: exploded", actions=None, trajectory_sha256=None)
EPISODES = [record(), FAILED, record(2, success=False, termination="budget", renderer="raytraced")]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A run's folder, to be written over."""
    place = tmp_path_factory.mktemp("runs") / "theirs"
    (place / "actions").mkdir(parents=True)
    np.save(place / "actions" / "a.npy", ACTIONS)
    return place


def write(folder, run=RUN, episodes=EPISODES):
    """Put these in the folder's files: bytes as they are, values as JSON."""
    (folder / "run.json").write_bytes(run if isinstance(run, bytes) else json.dumps(run).encode())
    (folder / "episodes.jsonl").write_bytes((episodes if isinstance(episodes, bytes) else one_per_line(episodes)) + b"\n")


def one_per_line(rows):
    """JSON lines of a list, or the only line of anything else."""
    return b"\n".join(as_json(row).encode() for row in (rows if isinstance(rows, list) else [rows]))


def ends(capsys, reader, *words):
    """Whether a command ends well; with a documented exit code and without a traceback in any case."""

    def call():
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err[-1500:]
        assert "\x1b" not in said.out + said.err
        if caught.value.code:
            raise OSError(said.err or "findings")

    return reads(reader, call)


COMMANDS = [
    *(("show",), ("show", "--json"), ("table",), ("table", "--format", "html"), ("verify", "--sample", 0), ("report",)),
    ("merge",),
    *(("compare",), ("export", "--format", "jsonl"), ("export", "--format", "parquet"), ("export", "--format", "inspect")),
]


def command(draw, folder):
    """A command that reads a run, with the folders that it wants."""
    verb, *rest = draw(st.sampled_from(COMMANDS))
    out = folder.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.unlink(missing_ok=True)
    more = {"report": ["--out", out], "export": ["--out", out], "compare": [folder.parent / "theirs"]}
    more["merge"] = [_other(folder), "--out", out]
    return [verb, folder, *rest, *more.get(verb, [])]


def _other(folder):
    """A run that may be merged with the one in `folder`, or would be if that were whole."""
    other = folder.parent / "ours"
    if not other.exists():
        shutil.copytree(folder, other, symlinks=True)
        write(other, episodes=[record(), record(5)])
    return other


@given(documents(RUN), st.data())
def test_a_run_file_is_read_or_refused_by_every_command(folder, capsys, run, data):
    write(folder, run=run)
    ends(capsys, "run.json", *command(data.draw, folder))


@given(st.one_of(lines(*EPISODES), values(EPISODES).map(one_per_line)), st.data())
def test_episode_lines_are_read_or_left_out_by_every_command(folder, capsys, episodes, data):
    write(folder, episodes=episodes)
    ends(capsys, "episode lines", *command(data.draw, folder))


LOST = [
    {"key": record()["key"], "attempt": attempt, "by": "machine", "cause": "step: killed", "log": "logs/a.log", "time": "t"}
    for attempt in (1, 2)
]


@given(st.one_of(lines(*LOST), values(LOST).map(one_per_line)), st.sampled_from([(), ("--json",), ("--key", record()["key"])]))
def test_lines_of_lost_attempts_are_read_or_omitted(folder, capsys, attempts, options):
    write(folder)
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / "lost_attempts.jsonl").write_bytes(attempts)
    assert ends(capsys, "lost attempts", "show", folder, *options)


NPY = (lambda path: (np.save(path, ACTIONS), path.getvalue())[1])(io.BytesIO())


@given(damaged(NPY))
def test_an_action_file_is_read_or_refused(folder, content):
    write(folder)
    (folder / "actions" / "a.npy").write_bytes(content)
    run = read_run(folder)
    reads("action files", lambda: read_actions(run, run.records[0]))
    reads("action files", lambda: from_run(folder))


@given(st.one_of(lines(*EPISODES), values(EPISODES).map(one_per_line)))
def test_a_recording_to_play_again_is_read_or_refused(folder, episodes):
    write(folder, episodes=episodes)
    reads("recordings to play again", lambda: Replay(folder))
    reads("recordings to play again", lambda: from_run(folder))


@pytest.mark.parametrize("name", ["../../secret.npy", "/etc/passwd", "link.npy", "folder/secret.npy", "a\0b", 7])
def test_an_action_file_outside_the_run_is_not_read(folder, tmp_path, name):
    np.save(tmp_path / "secret.npy", ACTIONS)
    for link, target in (("link.npy", tmp_path / "secret.npy"), ("folder", tmp_path)):
        if not (folder / link).is_symlink():
            (folder / link).symlink_to(target)
    write(folder, episodes=[record(actions=name)])
    with pytest.raises(PolicyError):
        from_run(folder)


def test_a_text_for_the_terminal_is_shown_not_obeyed(folder, cli):
    write(folder, {**RUN, "commit": "\x9b2J"}, [record(task="\x1b]0;taken\a")])
    shown = cli("show", folder).out
    assert ("\x1b" in shown, "\x9b" in shown, "taken" in shown) == (False, False, True)


def test_a_report_holds_no_script_of_a_run(folder, tmp_path, cli):
    script = "<script>alert(1)</script>"
    row = record(task=script, instruction=script, renderer=script, policy=script, key=script, warnings=[script])
    write(folder, {**RUN, "name": script, "commit": script}, [row])
    assert cli("report", folder, "--out", tmp_path / "page.html").code == 0
    assert "alert(1)</script>" not in (tmp_path / "page.html").read_text()


def test_what_is_shown_of_a_run_imports_nothing_that_it_names(folder, cli, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("open('taken', 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = {"suite": ["theirs:suite"], "policy": "theirs:Policy"}
    row = record(suite="theirs:suite")
    write(folder, {**RUN, "config": config, "suites": ["theirs:suite"]}, [row])
    np.save(folder / "actions" / "a.npy", ACTIONS)
    for words in [*COMMANDS, ("verify", "--sample", 1), ("replay", row["key"])]:
        cli(words[0], folder, *words[1:], *(["--out", tmp_path / words[-1]] if words[0] in ("report", "export") else []))
    assert not (tmp_path / "taken").exists()


def test_a_number_that_parquet_cannot_hold_is_reported(folder, cli, tmp_path):
    pytest.importorskip("pyarrow", reason="pip install 'nora-bench[export]'")
    write(folder, episodes=[record(init_state=2**63)])
    np.save(folder / "actions" / "a.npy", ACTIONS)
    reported = cli("export", folder, "--format", "parquet", "--out", tmp_path / "rows")
    assert (reported.code, "more than 64 bits" in reported.err, (tmp_path / "rows").exists()) == (2, True, False)


def test_what_is_whole_is_read(folder, cli, tmp_path):
    write(folder)
    np.save(folder / "actions" / "a.npy", ACTIONS)
    assert len(read_run(folder).records) == len(EPISODES)
    assert cli("export", folder, "--format", "jsonl", "--out", tmp_path / "rows").code == 0
