"""Former names of options, verbs and fields fail with their new names."""

import pytest


@pytest.mark.parametrize(
    "command, new",
    [
        ("label --policy nano", "label-preferences"),
        ("assets sheet", "nora-bench assets contact-sheet"),
        ("train pictures --data demos", "nora-bench data render"),
        ("train regenerate --data demos", "nora-bench data regenerate"),
        ("train tokenizer --data demos", "nora-bench data fit-tokenizer"),
        ("train publish --from sft", "nora-bench export-checkpoint"),
        ("collect --suite libero_goal --smooth 0.1", "--noise-std"),
        ("collect --suite libero_goal --pushes=0.1", "--push-probability"),
        ("train sft --data demos --from sft", "--init-from"),
        ("train world-model --data demos --start weights", "--init-from"),
        ("train dpo --policy nano", "--init-from"),
        ("train dpo --rate 1e-4", "--learning-rate"),
        ("train dpo --beta 100", "--set dpo.beta"),
        ("data render --every 2", "--frame-stride"),
        ("data render --size 112", "--image-size"),
        ("data fit-tokenizer --length 5", "--chunk-size"),
        ("data fit-tokenizer --end still", "--pad-actions"),
        ("data fit-tokenizer --vocab 512", "--vocab-size"),
        ("label-preferences --every 2", "--frame-stride"),
        ("export-checkpoint --from sft", "--checkpoint"),
        ("export-checkpoint --execute 2", "--n-action-steps"),
        ("export-checkpoint --noise=0", "--noise-scale"),
        ("train sft --data demos --rate 1", "--set loop.learning_rate"),
        ("train sft --data demos --batch 1", "--set loop.batch_size"),
        ("train world-model --data demos --rate 1", "--set loop.learning_rate"),
        ("data pictures", "nora-bench data render"),
        ("data tokenizer", "nora-bench data fit-tokenizer"),
        ("train fit-tokenizer", "nora-bench data fit-tokenizer"),
    ],
)
def test_former_name_fails_with_the_new_one(cli, command, new):
    ended = cli(*command.split())
    assert ended.code == 2 and "is now" in ended.err and new in ended.err


def test_unknown_field_of_set_suggests_the_nearest(cli, tmp_path):
    pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
    ended = cli("train", "sft", "--data", tmp_path, "--set", "loop.lerning_rate=1e-4")
    assert ended.code == 2 and "did you mean loop.learning_rate" in ended.err
