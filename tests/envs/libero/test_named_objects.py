"""Objects whose appearance an instruction names."""

import pytest
from nora_bench.envs.libero.named_objects import named_by_appearance

CATEGORIES = ("akita_black_bowl", "plate", "wooden_cabinet", "porcelain_mug", "white_yellow_mug", "orange_juice")


@pytest.mark.parametrize(
    ("instruction", "kept"),
    [
        ("put the bowl on the plate", set()),
        ("pick up the black bowl on the wooden cabinet", {"akita_black_bowl", "wooden_cabinet"}),
        ("put the yellow and white mug in the microwave", {"porcelain_mug", "white_yellow_mug"}),
        ("pick up the orange juice and place it in the basket", set()),
    ],
)
def test_things_named_by_colour_keep_it_with_all_of_their_noun(instruction, kept):
    assert named_by_appearance(instruction, CATEGORIES) == kept
