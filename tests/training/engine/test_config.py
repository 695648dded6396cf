from dataclasses import replace

import pytest
from nora_bench.training.engine.config import TrainConfig, TrainingError

LOOP = TrainConfig(steps=10, batch_size=2)
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "field, values",
    [
        ("steps", (0, -1)),
        ("gradient_accumulation_steps", (0,)),
        ("eval_every", (0, -5)),
        ("seed", (-1,)),
        ("learning_rate", (NAN, INFINITE, -1.0, 0.0)),
        ("warmup", (-1, 11)),
        ("decay_fraction", (NAN, 0.0, -0.1, 1.5)),
        ("betas", ((0.9, 2.0), (-0.1, 0.9), (0.9, 1.0), (NAN, 0.9))),
        ("eps", (NAN, -1e-8)),
        ("weight_decay", (NAN, INFINITE, -0.1)),
        ("max_grad_norm", (NAN, 0.0, -1.0)),
        ("ema", (NAN, 0.0, 1.0)),
    ],
)
def test_loop_value_that_no_training_can_have_is_rejected(field, values):
    for value in values:
        with pytest.raises(TrainingError) as error:
            replace(LOOP, **{field: value}).validate()
        assert (error.value.option, error.value.value) == (f"loop.{field}", value)


def test_limits_of_the_loop_values_are_accepted():
    replace(LOOP, warmup=10, decay_fraction=1.0, betas=(0.0, 0.999), eps=0.0, weight_decay=0.0, eval_every=1).validate()
