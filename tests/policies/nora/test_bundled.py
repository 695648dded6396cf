"""The trained nano model that comes with the package."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
from nora_bench.envs import suites
from nora_bench.envs.errors import PolicyError
from nora_bench.harness.config import RunConfig
from nora_bench.policies.checks import check_policy
from nora_bench.policies.nora.checkpoint import BUNDLED, open_checkpoint
from nora_bench.policies.nora.weights import digest
from nora_bench.policies.registry import load

MOST = 20e6
"""Bytes that a package may carry for it."""


@pytest.fixture
def policy(context):
    embedded = load("nora-1.5-nano", {})
    embedded.setup(context)
    return embedded


def test_bundled_checkpoint_stays_small():
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*")) < MOST


def test_bundled_nano_is_the_default_policy():
    assert RunConfig(suite=("libero",)).policy == "nora-1.5-nano"


def test_the_contract_of_policies_is_kept(context, look):
    check_policy(lambda: load("nora-1.5-nano", {}), context, [look(task) for task in (0, 3, 1)])


def test_bundled_nano_is_trained_and_returns_chunks_of_its_configuration(policy, look):
    (answer,) = policy.act([look(0)])
    assert policy.tags == ()
    assert answer.status == "ok" and answer.actions.shape == (policy.checkpoint.execute or policy.chunk_size, 7)


def test_fingerprint_names_the_weights_and_no_local_folder(policy):
    told = policy.fingerprint()
    assert told["checkpoint"] == "nora-1.5-nano"
    assert told["weights_sha256"] == digest([BUNDLED / "model.safetensors"])
    assert str(BUNDLED) not in str(told)


def test_model_card_states_the_weights_hash():
    assert digest([BUNDLED / "model.safetensors"]) in (BUNDLED / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_bundled_nano_knows_every_libero_suite():
    known = load("nora-1.5-nano", {}).checkpoint.norm_stats
    assert set(known) == {"libero_spatial", "libero_object", "libero_goal", "libero_10"} & set(suites.names())


def test_suite_outside_the_training_data_is_rejected(context):
    with pytest.raises(PolicyError, match=r"trained on .* alone, not on simpler-vm"):
        load("nora-1.5-nano", {}).setup(replace(context, suites=("simpler-vm",)))


def test_bundled_checkpoint_opens_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("nora-1.5-nano").folder == BUNDLED
