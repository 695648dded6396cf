import json
import math

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="no tokenizers: pip install 'nora-bench[nora]'")
from nora_bench.policies.fast import Decoded, FastError, FastTokenizer

FAILS = {"far_above_fitted_max", "last_token_missing", "one_token_extra", "empty", "wrong_horizon"}


def wave(batch=64, horizon=5, size=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (batch, 1, size)) * np.cos(np.arange(horizon) * rng.uniform(0, 1, (batch, 1, 1))).transpose(0, 2, 1)


@pytest.fixture(scope="module")
def fitted():
    return FastTokenizer.fit(list(wave(400)), vocab_size=512)


@pytest.fixture(
    scope="session", params=["fast_tokenizer fast_cases", "fast_tokenizer_wide fast_cases_wide"], ids=["small", "wide"]
)
def recorded(golden, request):
    """A released-layout tokenizer and the recorded cases of the released code."""
    tokenizer, cases = request.param.split()
    folder = golden / "nora"
    return FastTokenizer.load(folder / tokenizer), json.loads((folder / f"{cases}.json").read_text())["cases"]


def test_token_ids_are_those_of_the_released_tokenizer(recorded):
    tokenizer, cases = recorded
    encoded = [case for case in cases if "actions" in case]
    assert tokenizer.encode(np.array([case["actions"] for case in encoded])) == [case["tokens"] for case in encoded]


def test_decoded_actions_are_those_of_the_released_tokenizer_wherever_it_does_not_give_up(recorded):
    tokenizer, cases = recorded
    for case in cases:
        decoded = one(tokenizer, case)
        if decoded.actions is None:
            assert not np.any(case["decoded_actions"])
        else:
            np.testing.assert_allclose(decoded.actions, case["decoded_actions"], atol=1e-12)


def test_coefficients_are_those_of_the_released_tokenizer_even_where_it_gives_up(recorded):
    tokenizer, cases = recorded
    for case in cases:
        assert one(tokenizer, case).coefficients.tolist() == case["decoded_coefficients"]


def test_what_the_released_tokenizer_turns_into_zeros_or_huge_values_has_a_status(recorded):
    tokenizer, cases = recorded
    bad = {case["name"] for case in cases if one(tokenizer, case).status != "ok"}
    present = {case["name"] for case in cases}
    assert bad == (FAILS | {"invalid_utf8_same_length"}) & present


def one(tokenizer: FastTokenizer, case) -> Decoded:
    return tokenizer.decode([case["tokens"]], case["time_horizon"], case["action_dim"])[0]


def test_fitting_as_released_finds_the_released_vocabulary_and_merges(golden):
    folder = golden / "nora"
    with np.load(folder / "fast_fit_actions.npz") as file:
        ours = FastTokenizer.fit(list(file["actions"]), scale=10, vocab_size=640, whole_alphabet=False)
    theirs = json.loads((folder / "fast_tokenizer" / "tokenizer.json").read_text())["model"]
    model = json.loads(ours.backend.to_str())["model"]
    assert (ours.min_token, model["vocab"], model["merges"]) == (-22, theirs["vocab"], theirs["merges"])


def test_decoding_gives_the_chunk_back_within_half_a_step_of_the_scale(fitted):
    chunks = wave(seed=1)
    decoded = np.array([d.actions for d in fitted.decode(fitted.encode(chunks), 5, 7)])
    assert np.linalg.norm(decoded - chunks, axis=1).max() <= 0.05 * math.sqrt(5)


def test_with_the_whole_alphabet_no_byte_disappears(fitted):
    every_code = np.arange(fitted.vocab_size // 2 // 8 * 8).reshape(-1, 4, 2)
    texts = ["".join(map(chr, row.ravel())) for row in every_code]
    assert fitted.backend.decode_batch([e.ids for e in fitted.backend.encode_batch(texts)]) == texts


def test_coefficients_beyond_either_end_of_the_fitted_range_are_cut_to_it(fitted):
    far = np.full((1, 5, 7), 50.0)
    for chunk, end in ((far, fitted.max_token), (-far, fitted.min_token)):
        (decoded,) = fitted.decode(fitted.encode(chunk), 5, 7)
        assert (decoded.status, decoded.coefficients[0]) == ("ok", end)


def test_a_batch_is_encoded_and_decoded_like_its_rows(fitted):
    chunks = wave(seed=2)
    tokens = fitted.encode(chunks)
    assert tokens == [fitted.encode(chunk[None])[0] for chunk in chunks]
    together, alone = fitted.decode(tokens, 5, 7), [fitted.decode([row], 5, 7)[0] for row in tokens]
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(together, alone, strict=True))


def test_a_bad_row_in_a_batch_leaves_its_neighbours_alone(fitted):
    tokens = fitted.encode(wave(3))
    assert [d.status for d in fitted.decode([tokens[0], tokens[1][:-1], [], tokens[2]], 5, 7)] == [
        "ok",
        "malformed",
        "malformed",
        "ok",
    ]


def test_the_cosine_transform_is_orthonormal_along_time(fitted):
    chunk = np.zeros((1, 4, 2))
    chunk[0, :, 1] = 1.0
    assert fitted.quantise(chunk)[0].tolist() == [[0, 20], [0, 0], [0, 0], [0, 0]]


def test_a_saved_tokenizer_loads_as_it_was(fitted, tmp_path):
    fitted.save(tmp_path / "fast")
    loaded = FastTokenizer.load(tmp_path / "fast")
    assert loaded.encode(wave(seed=3)) == fitted.encode(wave(seed=3))
    for setting in ("scale", "min_token", "max_token", "vocab_size"):
        assert getattr(loaded, setting) == getattr(fitted, setting)


@pytest.mark.parametrize(
    "settings, complaint",
    [
        (None, "no FAST tokenizer at"),
        ("{}", "KeyError: 'scale'"),
        ("[", "is not the settings"),
        ('{"scale": 1, "min_token": 0, "vocab_size": 9}', "not a tokenizer file"),
    ],
)
def test_a_folder_that_is_no_tokenizer_says_what_is_wrong(tmp_path, settings, complaint):
    if settings is not None:
        (tmp_path / "processor_config.json").write_text(settings)
        (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(FastError, match=complaint):
        FastTokenizer.load(tmp_path)


def test_data_too_wide_for_the_vocabulary_is_refused():
    with pytest.raises(FastError, match="lower the scale"):
        FastTokenizer.fit(list(wave(20)), scale=1000, vocab_size=300)


def test_an_id_beyond_the_vocabulary_makes_the_chunk_malformed(fitted):
    tokens = fitted.encode(wave(1))[0]
    assert fitted.decode([[*tokens, 512]], 5, 7)[0].status == "malformed"


@pytest.fixture(scope="module")
def released_way():
    """Fitted as released: nothing is cut at the upper end, and bytes that the data did not hold have no token."""
    return FastTokenizer.fit(list(wave(400)), vocab_size=512, whole_alphabet=False)


@pytest.fixture(params=["whole", "released"])
def either(request, fitted, released_way):
    return fitted if request.param == "whole" else released_way


@pytest.mark.parametrize("far", [50.0, -50.0, 300.0, 2490.0, 1e4, 1e6, 1e30, -1e30])
def test_labels_decode_however_far_the_actions_lie_outside_the_fit(either, far):
    chunks = wave(4)
    chunks[1, 2, 3] = far
    chunks[2] = far
    labels = either.label(chunks)
    assert {answer.status for answer in either.decode(labels.tokens, 5, 7)} == {"ok"}
    assert labels.cut[1] > 0 and labels.cut[2] > 0


def test_nothing_of_the_fitting_data_is_cut_and_its_labels_are_the_released_tokens(either):
    chunks = wave(400)
    labels = either.label(chunks)
    assert not labels.cut.any() and labels.tokens == either.encode(chunks)


def test_what_is_cut_is_as_near_as_the_tokenizer_can_say(released_way):
    chunk = np.zeros((1, 5, 7))
    chunk[0, :, 0] = 300.0
    labels = released_way.label(chunk)
    (decoded,) = released_way.decode(labels.tokens, 5, 7)
    assert labels.cut.tolist() == [1]
    assert 15 < decoded.coefficients[0] <= released_way.vocab_size and not decoded.coefficients[1:].any()


@pytest.mark.parametrize("far", [2490.0, 1e6, 1e30])
def test_released_encoding_of_what_no_character_stands_for_is_refused(released_way, far):
    with pytest.raises(FastError, match="far outside"):
        released_way.encode(np.full((1, 5, 7), far))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("make", ["encode", "label"])
def test_what_is_no_number_has_no_tokens(either, make, bad):
    chunks = wave(2)
    chunks[1, 0, 0] = bad
    with pytest.raises(FastError, match="no number"):
        getattr(either, make)(chunks)


def test_data_that_is_no_number_cannot_be_fitted():
    with pytest.raises(FastError, match="no number"):
        FastTokenizer.fit([np.full((5, 7), np.nan)])


@pytest.mark.parametrize("horizon, size", [(1, 7), (5, 3), (16, 14), (50, 32), (8, 1)])
def test_labels_of_other_widths_and_lengths_decode(either, horizon, size):
    chunks = wave(4, horizon, size)
    labels = either.label(chunks)
    assert [answer.actions.shape for answer in either.decode(labels.tokens, horizon, size)] == [(horizon, size)] * 4


@pytest.mark.parametrize("chunks", [np.zeros((5, 7)), np.zeros((1, 5, 7), object), np.full((1, 5, 7), "x")])
def test_what_is_no_batch_of_chunks_is_refused(either, chunks):
    with pytest.raises(FastError):
        either.label(chunks)


def test_labels_of_no_chunks_are_none(either):
    assert either.label(np.zeros((0, 5, 7))).tokens == []
