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


@pytest.mark.parametrize("line", [b"\n", b"{}\n"])
def test_lines_that_are_too_short_for_records_are_rejected(folder, tmp_path, line):
    """A file of a few kB could otherwise take gigabytes: a note for each of millions of lines."""
    (folder / "episodes.jsonl").write_bytes(line * 200_000)
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with pytest.raises(StoreError, match="too short"), open_bundle(tmp_path / "b.zip"):
        pass


def restated(path, **fields):
    """The bundle with other fields of its header."""
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("bundle.json"))
    return changed(path, bundle__json=json.dumps({**header, **fields}))


@pytest.mark.parametrize("fields", [{"episodes": 99}, {"with_actions": -1}, {"episodes": 10**400}, {"with_actions": None}])
def test_header_that_states_other_counts_is_a_fault(folder, tmp_path, fields):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with open_bundle(restated(tmp_path / "b.zip", **fields)) as opened:
        assert [next(iter(fields)) in note for note in opened.run.notes] == [True]


@pytest.mark.parametrize("version", [True, 1.0, 2, "1", None])
def test_another_format_is_rejected(folder, tmp_path, version):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with pytest.raises(StoreError, match="format"), open_bundle(restated(tmp_path / "b.zip", format=version)):
        pass


@pytest.mark.parametrize("name", ["../evil", "a" * 300, "..", "", 7])
def test_name_that_is_no_file_name_is_replaced(folder, tmp_path, name):
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with open_bundle(restated(tmp_path / "b.zip", run=name)) as opened:
        assert opened.run.name == "run"


def test_actions_that_the_digest_does_not_cover_are_a_fault(folder, tmp_path):
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    lines[0] = {**lines[0], "actions_sha256": None}
    lines[0].pop("crc32", None)
    (folder / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_bundle(read_run(folder), tmp_path / "b.zip")
    with open_bundle(tmp_path / "b.zip") as opened:
        assert any("no SHA-256" in note for note in opened.run.notes)


def test_errors_name_the_bundle_and_not_its_temporary_folder(folder, tmp_path):
    (folder / "run.json").write_text("[]")
    (folder / "episodes.jsonl").write_text("no record, and long enough that the average of all lines is that of records" + "\n")
    path = tmp_path / "b.zip"
    texts = {name: (folder / name).read_bytes() for name in ("run.json", "episodes.jsonl")}
    header = {"format": 1, "digest": bundle._digest(texts)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**texts, "bundle.json": json.dumps(header), "actions.json": "{}"}.items():
            archive.writestr(name, content)
    with pytest.raises(StoreError, match=r"run\.json is not a JSON object") as caught, open_bundle(path):
        pass
    assert "nora-bench-bundle-" not in str(caught.value)


def test_run_that_grows_while_it_is_read_gives_a_consistent_bundle(folder, tmp_path, record):
    run = read_run(folder)
    with (folder / "episodes.jsonl").open("a") as lines:
        lines.write(json.dumps(record(init=200, success=None, error="late").to_json()) + "\n")
    assert write_bundle(run, tmp_path / "b.zip").episodes == len(run.records) + 1
    with open_bundle(tmp_path / "b.zip") as opened:
        assert opened.run.notes == ()
