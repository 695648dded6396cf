import json

import numpy as np
import pytest
from nora_bench.policies.fast import FastTokenizer
from nora_bench.training.collection.writer import append
from nora_bench.training.data.dataset import Chunking, bounds_of, statistics
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.data.tokenizer import all_chunks, examine

from ..made import made

pytest.importorskip("tokenizers", reason="no tokenizers: pip install 'nora-bench[nora]'")


def wandering(number, steps=60):
    """A demonstration whose actions differ from those of every other."""
    walk = np.cumsum(np.random.default_rng(number).normal(0, 0.1, (steps, 7)), axis=0)
    walk[:, 6] = np.where(np.arange(steps) < 20, -1.0, 1.0)
    return made(number, steps=steps, labels=walk)


@pytest.fixture(scope="module")
def demonstrations():
    return [wandering(number) for number in range(20)]


@pytest.fixture(scope="module")
def stats(demonstrations):
    return {suite: bounds_of(entry) for suite, entry in statistics(demonstrations).items()}


def test_chunks_start_at_every_step_without_push(stats):
    assert len(all_chunks([wandering(0)], stats, Chunking(5, "drop"))) == 56
    pushed = made(0, steps=60, pushed=[30])
    assert len(all_chunks([pushed], stats, Chunking(5, "drop"))) == 51


def test_report_counts_tokens_and_measures_the_error(demonstrations, stats):
    chunks = all_chunks(demonstrations, stats, Chunking(5))
    fitted = FastTokenizer.fit(list(chunks), vocab_size=1024)
    report = examine(fitted, chunks)
    decoded = np.array([answer.actions for answer in fitted.decode(fitted.encode(chunks), 5, 7)])
    assert report.rmse == pytest.approx(np.sqrt(np.mean((decoded - chunks) ** 2)))
    assert report.tokens_mean == pytest.approx(np.mean([len(row) for row in fitted.encode(chunks)]))
    assert (report.chunks, report.bad) == (len(chunks), 0)


def test_a_finer_scale_loses_less(demonstrations, stats):
    chunks = all_chunks(demonstrations, stats, Chunking(5))
    coarse, fine = (examine(FastTokenizer.fit(list(chunks), scale=scale, vocab_size=1024), chunks) for scale in (5, 20))
    assert fine.rmse < coarse.rmse / 3 and fine.tokens_mean > coarse.tokens_mean


def test_chunks_that_do_not_decode_are_counted(demonstrations, stats):
    """Fitted as released on one still chunk, the tokenizer has no bytes for others."""
    fitted = FastTokenizer.fit([np.zeros((5, 7))], vocab_size=1024, whole_alphabet=False)
    chunks = all_chunks(demonstrations, stats, Chunking(5))[:50]
    assert examine(fitted, chunks).bad > 0


def test_fit_without_chunks_is_an_error(stats):
    with pytest.raises(DataError, match="no chunk"):
        all_chunks([], stats, Chunking())


@pytest.fixture
def data(tmp_path, demonstrations):
    pytest.importorskip("h5py", reason="no h5py: pip install 'nora-bench[train]'")
    pytest.importorskip("libero", reason="no hf-libero: pip install 'nora-bench[libero]' && nora-bench doctor --fix")
    for demonstration in demonstrations:
        append(tmp_path, demonstration)
    return tmp_path


def test_the_command_writes_a_folder_that_policies_load(cli, data, tmp_path, demonstrations, stats):
    ended = cli("data", "fit-tokenizer", "--data", data, "--out", tmp_path / "fast", "--validation", "0.2", "--json")
    report = json.loads(ended.out)
    assert ended.code == 0 and report["examined_on"] == "validation" and report["bad"] == 0 and report["rmse"] < 0.05
    chunks = all_chunks(demonstrations, stats, Chunking(5))
    assert examine(FastTokenizer.load(tmp_path / "fast"), chunks).bad == 0
    assert set(json.loads((tmp_path / "fast" / "norm_stats.json").read_text())) == {"libero_object"}


def test_smoothed_labels_take_fewer_tokens(cli, data, tmp_path):
    jittering, smooth = (
        json.loads(
            cli(
                "data", "fit-tokenizer", "--data", data, "--out", tmp_path / width, "--label-smoothing-steps", width, "--json"
            ).out
        )
        for width in ("0", "2")
    )
    assert smooth["tokens_mean"] < jittering["tokens_mean"]


def test_a_dry_run_writes_nothing(cli, data, tmp_path):
    ended = cli("data", "fit-tokenizer", "--data", data, "--out", tmp_path / "fast", "--dry-run")
    assert ended.code == 0 and "chunks of 5" in ended.out and not (tmp_path / "fast").exists()


def test_a_folder_without_demonstrations_is_bad_input(cli, tmp_path):
    ended = cli("data", "fit-tokenizer", "--data", tmp_path, "--out", tmp_path / "fast")
    assert ended.code == 2 and "nora-bench collect" in ended.err
