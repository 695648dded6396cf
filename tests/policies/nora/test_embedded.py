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


def test_the_package_stays_small():
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*")) < MOST


def test_it_is_what_a_run_takes_where_no_policy_is_named():
    assert RunConfig(suite=("libero",)).policy == "nora-1.5-nano"


def test_the_contract_of_policies_is_kept(context, look):
    check_policy(lambda: load("nora-1.5-nano", {}), context, [look(task) for task in (0, 3, 1)])


def test_it_is_trained_and_answers_what_its_configuration_says(policy, look):
    (answer,) = policy.act([look(0)])
    assert policy.tags == ()
    assert answer.status == "ok" and answer.actions.shape == (policy.checkpoint.execute or policy.chunk, 7)


def test_a_record_names_its_weights_and_no_folder_of_this_machine(policy):
    told = policy.fingerprint()
    assert told["checkpoint"] == "nora-1.5-nano"
    assert told["weights_sha256"] == digest([BUNDLED / "model.safetensors"])
    assert str(BUNDLED) not in str(told)


def test_the_card_speaks_of_these_weights():
    assert digest([BUNDLED / "model.safetensors"]) in (BUNDLED / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_every_suite_of_libero_is_known():
    known = load("nora-1.5-nano", {}).checkpoint.norm_stats
    assert set(known) == {"libero_spatial", "libero_object", "libero_goal", "libero_10"} & set(suites.names())


def test_a_suite_that_it_never_saw_is_refused(context):
    with pytest.raises(PolicyError, match=r"trained on .* alone, not on simpler-vm"):
        load("nora-1.5-nano", {}).setup(replace(context, suites=("simpler-vm",)))


def test_training_starts_from_it_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("nora-1.5-nano").folder == BUNDLED
