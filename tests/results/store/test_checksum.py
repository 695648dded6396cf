import json
import zlib

import pytest
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.records import ChecksumError, verify_checksum, with_checksum
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store

LINE = b'{"key":"k","success":true,"steps":12}'


def test_a_sealed_line_is_json_with_one_more_field():
    assert json.loads(with_checksum(LINE)) == {**json.loads(LINE), "crc32": f"{zlib.crc32(LINE[:-1]):08x}"}


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_an_untouched_line_is_intact(end):
    assert verify_checksum(with_checksum(LINE) + end) == with_checksum(LINE) + end


@pytest.mark.parametrize("place", range(len(LINE) - 1))
def test_any_flipped_bit_of_the_record_is_noticed(place):
    line = bytearray(with_checksum(LINE))
    line[place] ^= 4
    with pytest.raises(ChecksumError):
        verify_checksum(bytes(line))


@pytest.mark.parametrize("line", [LINE, b"", b"{}\n", b"}", b'{"crc32": "00000000"}'])
def test_lines_without_our_seal_are_left_to_the_reader(line):
    assert verify_checksum(line) == line


def test_a_result_that_was_turned_does_not_count(tmp_path, record):
    with Store.create(tmp_path / "run", RunMetadata()) as store:
        store.append(record(init=0))
        store.append(record(init=1))
    path = tmp_path / "run" / "episodes.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"success":true', b'"success":null', 1))
    run = read_run(tmp_path / "run")
    assert run.records == (record(init=1),)
    assert "line 1 is not an episode record and was omitted (it was altered after it was written" in run.notes[0]


def test_many_lines_that_are_no_records_are_counted(write, record):
    folder = write("run", [record(init=0)])
    with (folder / "episodes.jsonl").open("a") as lines:
        lines.write("no record\n" * 3000)
    run = read_run(folder)
    assert (len(run.records), len(run.notes)) == (1, 1001)
    assert "3000 lines in all" in run.notes[-1]
