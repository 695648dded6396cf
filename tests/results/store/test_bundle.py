"""A run as one file, and files that are none."""

import io
import json
import zipfile

import numpy as np
import pytest
from nora_bench.envs.errors import StoreError
from nora_bench.results.store import bundle
from nora_bench.results.store.bundle import open_bundle, unpack_bundle, write_bundle
from nora_bench.results.store.integrity import actions_digest, read_actions
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.writer import safe_name


@pytest.fixture
def folder(write, record):
    """A run of 30 episodes with actions that do not compress, and an error."""
    rng, rows, arrays = np.random.default_rng(0), [], {}
    for state in range(30):
        one = record(init=state, steps=40)
        actions = rng.standard_normal((40, 7))
        arrays[f"actions/{safe_name(one.key)}.npy"] = actions
        rows.append(record(init=state, steps=40, actions=[*arrays][-1], actions_sha256=actions_digest(actions)))
    run = write("run", [*rows, record(init=99, success=None, error="step: exploded")])
    (run / "actions").mkdir()
    for name, actions in arrays.items():
        np.save(run / name, actions)
    return run


@pytest.fixture
def small(monkeypatch):
    """A limit that the run's actions exceed."""
    monkeypatch.setattr(bundle, "LEAST", 40_000)
    monkeypatch.setattr(bundle, "PER_EPISODE", 1)


def changed(path, **members):
    """The bundle with other contents of some members; new ones are added, None removes one."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents |= {name.replace("__", "."): content for name, content in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def test_bundle_contains_the_run_to_the_byte(folder, tmp_path):
    written = write_bundle(read_run(folder), tmp_path / "b.zip")
    assert (written.episodes, written.with_actions) == (31, 30)
    with open_bundle(tmp_path / "b.zip") as opened:
        for name in ("run.json", "episodes.jsonl"):
            assert (opened.run.folder / name).read_bytes() == (folder / name).read_bytes()
        original = read_run(folder)
        for mine, other in zip(original.records[:30], opened.run.records[:30], strict=True):
            assert read_actions(original, mine).tobytes() == read_actions(opened.run, other).tobytes()
        assert (opened.left_out, opened.digest) == (frozenset(), written.digest)


def test_the_same_run_gives_the_same_file(folder, tmp_path):
    for name in ("a.zip", "b.zip"):
        write_bundle(read_run(folder), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_bundle_keeps_to_the_limit_by_omitting_actions_in_an_order_that_nobody_chooses(folder, tmp_path, small):
    written = write_bundle(read_run(folder), tmp_path / "b.zip")
    assert (tmp_path / "b.zip").stat().st_size == written.bytes <= 40_000
    assert 0 < written.with_actions < 30
    with open_bundle(tmp_path / "b.zip") as opened:
        assert (len(opened.left_out), opened.run.notes) == (30 - written.with_actions, ())
    whole = write_bundle(read_run(folder), tmp_path / "all.zip", all_actions=True)
    assert whole.with_actions == 30


def test_other_episodes_than_the_digest_chooses_are_a_fault(folder, tmp_path, small, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "_order", lambda digest, records: sorted(records, key=lambda record: record.init_state))
        write_bundle(read_run(folder), tmp_path / "b.zip")
    with open_bundle(tmp_path / "b.zip") as opened:
        assert any("digest chooses" in note for note in opened.run.notes)


def test_changed_record_is_rejected(folder, tmp_path):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    lines = (folder / "episodes.jsonl").read_bytes().replace(b'"success": true', b'"success": false', 1)
    with pytest.raises(StoreError, match="digest"), open_bundle(changed(tmp_path / "b.zip", episodes__jsonl=lines)):
        pass


@pytest.mark.parametrize(
    "name", ["../evil.npy", "/etc/passwd", "actions/../../evil.npy", "evil.npy", "actions/a/b.npy", "actions/..", 7]
)
def test_path_that_leads_out_is_rejected(folder, tmp_path, name):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        index = json.loads(archive.read("actions.json"))
    index["7"][0][0] = name
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(StoreError):
        unpack_bundle(changed(tmp_path / "b.zip", actions__json=json.dumps(index)), target)
    assert not list(target.rglob("*"))


@pytest.mark.parametrize("name", ["../evil", "extra__json", "actions-0__npy", "actions/a__npy"])
def test_unknown_member_is_rejected(folder, tmp_path, name):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with pytest.raises(StoreError, match="unknown member"), open_bundle(changed(tmp_path / "b.zip", **{name: b"x"})):
        pass


@pytest.mark.parametrize("member", ["actions-7__npy", "run__json", "actions-6__npy"])
def test_member_that_expands_beyond_the_limit_is_rejected(folder, tmp_path, member):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    path = changed(tmp_path / "b.zip", **{member: bytes(bundle.LARGEST + 1)})
    assert path.stat().st_size < 2_000_000
    with pytest.raises(StoreError, match="exceed"), open_bundle(path):
        pass


def test_entry_that_understates_its_size_is_rejected(folder, tmp_path):
    """The entry says 10 bytes, the content has a million: no more than the entry says is read, and its checksum fails."""
    path = tmp_path / "b.zip"
    write_bundle(read_run(folder), path)
    content = changed(path, run__json=b"0" * 1_000_000).read_bytes()
    path.write_bytes(content.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(StoreError), open_bundle(path):
        pass


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive", "empty"])
def test_file_that_is_no_bundle_is_rejected(tmp_path, content):
    path = tmp_path / "b.zip"
    if content == "empty":
        buffer = io.BytesIO()
        zipfile.ZipFile(buffer, "w").close()
        content = buffer.getvalue()
    path.write_bytes(content)
    with pytest.raises(StoreError), open_bundle(path):
        pass
