"""Whole-chunk decoding: the tables against every sequence of tokens, and answers of an untrained model."""

from itertools import product

import numpy as np
import pytest
from nora_bench.policies.fast import FastError, FastTokenizer
from nora_bench.policies.nora.whole_chunk import token_rules

HORIZON, SIZE = 2, 2


def tokenizer(*, widest=300, vocab_size=600, whole_alphabet=True, seed=0):
    """Fitted to chunks of 2 x 2 whose coefficients reach beyond one byte."""
    rng = np.random.default_rng(seed)
    chunks = [rng.integers(0, 4, (HORIZON, SIZE)) / 4.0 for _ in range(40)]
    chunks[0][:] = widest / 40
    return FastTokenizer.fit(chunks, scale=20, vocab_size=vocab_size, whole_alphabet=whole_alphabet)


def only(fast, keep):
    """The token ids to try: a few that are short enough for every combination, parts of characters among them."""
    pieces = {token: fast.token_bytes(token) for token in range(fast.backend.get_vocab_size())}
    plain = [t for t, piece in pieces.items() if piece and max(piece) < 0x80]
    parts = [t for t, piece in pieces.items() if piece and max(piece) >= 0x80]
    longer = [t for t in plain if len(pieces[t]) > 1]
    return [*plain[: keep // 3], *longer[: keep // 3], *parts[: keep - 2 * (keep // 3)]]


def accepted(rules, tokens):
    """Whether the tables admit the sequence and the end of the turn after it."""
    missing, state = len(rules.allowed) - 1, 0
    for token in tokens:
        if not rules.allowed[missing, state, token]:
            return False
        missing, state = missing - rules.completed[state, token], rules.following[state, token]
    return (missing, state) == (0, 0)


@pytest.mark.parametrize("whole_alphabet", [True, False])
def test_tables_admit_exactly_the_sequences_that_decode(whole_alphabet):
    fast = tokenizer(whole_alphabet=whole_alphabet)
    rules = token_rules(fast, 600, HORIZON * SIZE)
    tokens = only(fast, 9)
    sequences = [row for length in range(6) for row in product(tokens, repeat=length)]
    decoded = fast.decode(sequences, HORIZON, SIZE)
    valid = [answer.status == "ok" for answer in decoded]
    assert any(valid) and not all(valid)
    assert [accepted(rules, row) for row in sequences] == valid


def test_every_admitted_beginning_can_be_completed():
    """Random walks over the tables never end in a state without a token, and stay below the bound on their length."""
    fast = tokenizer()
    rules, rng = token_rules(fast, 600, HORIZON * SIZE), np.random.default_rng(0)
    for _ in range(300):
        missing, state, row = HORIZON * SIZE, 0, []
        while (missing, state) != (0, 0):
            token = int(rng.choice(np.flatnonzero(rules.allowed[missing, state])))
            row.append(token)
            missing, state = missing - rules.completed[state, token], rules.following[state, token]
        assert len(row) < rules.most_tokens
        assert fast.decode([row], HORIZON, SIZE)[0].status == "ok"


def test_characters_of_two_and_three_bytes_can_be_completed_byte_by_byte():
    fast = FastTokenizer.fit([np.array([[0.0, 120.0]])], scale=20, vocab_size=4096)
    rules, row = token_rules(fast, 4096, 1), []
    for byte in chr(2100).encode():
        row.append(next(t for t in range(4096) if fast.token_bytes(t) == bytes([byte])))
    assert accepted(rules, row) and not accepted(rules, row[:2]) and not accepted(rules, row[1:])


def test_tokens_without_bytes_never_follow():
    fast = tokenizer()
    known = fast.backend.get_vocab_size()
    assert not token_rules(fast, known + 5, 4).allowed[:, :, known:].any()


def test_a_tokenizer_without_any_chunk_is_rejected():
    with pytest.raises(FastError, match="decoding=free"):
        token_rules(tokenizer(), 0, 4)


@pytest.fixture(scope="module")
def token_head(tmp_path_factory):
    """An untrained NORA checkpoint folder: token head alone."""
    pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
    from nora_bench.policies.nora.nano import write_nano

    return write_nano(tmp_path_factory.mktemp("nora-nano"), expert=False)


def answers(folder, context, look, decoding, batch=1, tasks=(0, 1, 2)):
    from nora_bench.policies.nora.policy import NoraPolicy

    policy = NoraPolicy(str(folder), mode="fast", batch=batch, decoding=decoding)
    policy.setup(context)
    chunks = policy.act([look(task) for task in tasks])
    return policy, chunks


def test_no_answer_of_an_untrained_model_is_malformed(token_head, context, look):
    _, free = answers(token_head, context, look, "free")
    policy, whole = answers(token_head, context, look, "whole-chunk")
    assert all(chunk.status != "ok" for chunk in free)
    assert [chunk.status for chunk in whole] == ["ok", "ok", "ok"]
    assert policy.fingerprint()["decoding"] == "whole-chunk"
    assert policy.fingerprint()["new_tokens"] == policy.rules.most_tokens


def test_answers_do_not_depend_on_the_batch(token_head, context, look):
    _, alone = answers(token_head, context, look, "whole-chunk")
    _, together = answers(token_head, context, look, "whole-chunk", batch=4)
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(alone, together, strict=True))


def test_decoding_of_tokens_needs_the_token_head(nano):
    from nora_bench.policies.base import PolicyRequestError
    from nora_bench.policies.nora.policy import NoraPolicy

    with pytest.raises(PolicyRequestError, match="mode=fast"):
        NoraPolicy(str(nano), mode="flow", decoding="whole-chunk")
