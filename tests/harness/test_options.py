"""Snapshot of all options: scripts depend on them, so that a change of this table is a decision, not a side effect."""

import pytest
from nora_bench.harness.cli import RENAMED_OPTIONS, VERBS, app, build
from typer.main import get_command

OPTIONS = {
    "run": "--suite --tasks --episodes --init-states --seeds --perturb --control --policy --policy-arg --protocol --workers "
    "--executor --policy-replicas --policy-gpus --policy-check --no-policy-check --max-steps --assets --backend --python --out "
    "--timeout --retries --until --order --video --config --resume --dry-run --json",
    "plan": "--suite --detect --power --seeds --base --likeness --from --json",
    "table": "NAMES --format --json --floor --estimand --over-seeds --levels --absolute --anyway --out",
    "show": "FOLDER --key --cell --table --metric --json",
    "compare": "FOLDERS --real --no-worse-than --perturbation --flips --no-flips --anyway --json",
    "merge": "FOLDERS --out --json",
    "report": "FOLDERS --out --videos --examples --trust --max-video-mb",
    "collect": "--suite --episodes --tasks --policy --noise-std --push-probability --init-states --held-out --seed --learner "
    "--learner-steps --workers --assets --out "
    "--dry-run --json",
    "data": {
        "render": "--data --out --image-size --frame-stride --camera --gripper --assets --workers --dry-run --json",
        "regenerate": "--data --out --assets --workers --dry-run --json",
        "fit-tokenizer": "--data --out --chunk-size --pad-actions --vocab-size --scale --label-smoothing-steps --gripper "
        "--keep-noops --bounds --statistics --validation --dry-run --json",
    },
    "train": {
        "sft": "--data --recipe --out --frames --init-from --set --steps --eval-every --gripper --camera --assets --threads "
        "--dry-run --json",
        "world-model": "--data --out --recipe --episodes --init-from --set --steps --seed --frames --latents --gripper --camera "
        "--assets --dry-run --json",
        "world-encoder": "--data --out --preset --steps --episodes --seed --frames --assets --json",
        "dpo": "--init-from --labels --reward --out --recipe --set --steps --learning-rate --seed --head --dry-run --json",
    },
    "label-preferences": "--policy --data --out --world-model --reward --candidates --margin --states --episodes "
    "--frame-stride --after-takeover --seed --head --temperature --frames --latents --gripper --camera --assets --dry-run --json",
    "measure-rewards": "--labels --data --policy --out --states --assets --json",
    "export-checkpoint": "--checkpoint --out --dtype --n-action-steps --noise-scale --card --onnx",
    "reproduce": "WHAT --out --quick --recipe --workers --dry-run --run --row --checkpoint --seeds --until --rehearsal",
    "export": "FOLDER --format --out --assets --fps --trust --model --organization --dataset --url --all-actions --json",
    "import": "FILE --policy --suite --protocol --out --json",
    "trials": "FILE --suite --policy --out --trials --list-tasks",
    "serve": "--policy --policy-arg --suite --protocol --host --port --token --max-batch",
    "replay": "FOLDER KEY --video --assets --fps --trust --json",
    "failures": "FOLDER --replay --sheet --count --seed --assets --trust --json",
    "verify": "FOLDER --sample --seed --assets --trust --json",
    "selfcheck": "--suite --assets --json",
    "parity": "FOLDER --assets --images --no-images --all --json",
    "list": "KIND --suite --task --kind --json",
    "new": "KIND NAME --out",
    "assets": "ACTION WHAT --from --revision --out --pack --suite --image-size --perturb --json",
    "diagnose": "--suite --policy --policy-arg --protocol --assets --backend --workers --confirm --json",
    "doctor": "--fix --assets --simpler --python --out --json",
}
"""Verb -> arguments and options; of a verb with parts, part -> those."""


def names(command):
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            yield parameter.name.upper()
        else:
            yield from (*parameter.opts, *parameter.secondary_opts)


def test_the_verbs_are_frozen():
    assert set(VERBS) == set(OPTIONS)


@pytest.mark.parametrize("verb", OPTIONS)
def test_the_options_are_frozen(verb):
    command = build(verb)
    parts = getattr(command, "commands", None)
    found = {name: " ".join(names(part)) for name, part in parts.items()} if parts else " ".join(names(command))
    assert found == OPTIONS[verb]


def test_the_global_options_are_frozen():
    assert " ".join(names(get_command(app))) == "--debug --version --install-completion --show-completion"


@pytest.mark.parametrize("former", RENAMED_OPTIONS)
def test_former_spelling_of_an_option_names_the_present_one(cli, former):
    ended = cli(*former.split(), "5")
    assert ended.code == 2
    assert f"{former.split()[-1]} is now {RENAMED_OPTIONS[former]}" in ended.err


@pytest.mark.parametrize("former", RENAMED_OPTIONS)
def test_present_spelling_of_a_renamed_option_exists(former):
    verb = former.split()[0]
    assert RENAMED_OPTIONS[former] in OPTIONS[verb]
    assert former.split()[-1] not in OPTIONS[verb].split()
