import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="no tokenizers: pip install 'nora-bench[nora]'")
from nora_bench.policies.fast import FastTokenizer
from nora_bench.policies.nora.decoding import read_flow, read_tokens
from nora_bench.policies.nora.prompt import TokenIds

IDS = TokenIds(end_of_turn=7, pad=0, image=5, first_action=100, last_action=2147)
STOP, OTHER = 7, 50
CHUNK = np.linspace(-0.5, 0.5, 35).reshape(1, 5, 7)


@pytest.fixture(scope="module")
def fast():
    rng = np.random.default_rng(0)
    return FastTokenizer.fit(list(rng.uniform(-1, 1, (300, 5, 7))), vocab_size=512)


@pytest.fixture
def good(fast):
    return [100 + token for token in fast.encode(CHUNK)[0]]


def read(fast, tokens):
    return read_tokens([tokens], IDS, fast, 5, 7)[0]


def test_tokens_before_the_end_of_turn_decode_to_the_chunk(fast, good):
    answer = read(fast, [*good, STOP, good[0]])
    assert answer.status == "ok"
    assert np.abs(answer.normalised - CHUNK[0]).max() < 0.15


def test_complete_chunk_without_end_of_turn_is_valid(fast, good):
    assert read(fast, good).status == "ok"


def test_other_tokens_are_skipped_as_released(fast, good):
    assert read(fast, [OTHER, *good[:2], OTHER, *good[2:], STOP]).status == "ok"


@pytest.mark.parametrize("ending, status", [([], "cut"), ([STOP], "malformed")])
def test_too_few_tokens_are_cut_at_the_limit_and_malformed_at_a_stop(fast, good, ending, status):
    answer = read(fast, [*good[:-1], *ending])
    assert answer.status == status and answer.normalised is None


def test_output_without_action_tokens_is_malformed(fast):
    assert read(fast, [OTHER, STOP]).status == "malformed"


def test_coefficient_beyond_the_fitted_range_is_out_of_range(fast):
    far = "".join(map(chr, [600] + [-fast.min_token] * 34))
    tokens = [100 + token for token in fast.backend.encode(far).ids]
    assert read(fast, [*tokens, STOP]).status == "out_of_range"


@pytest.mark.parametrize("value, status", [(0.5, "ok"), (np.nan, "malformed"), (np.inf, "malformed")])
def test_sampled_chunk_with_nan_is_malformed(value, status):
    assert read_flow(np.full((5, 7), value, np.float32)).status == status
