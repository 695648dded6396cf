"""Reader of wordings: what it accepts, and errors that name the place."""

import pytest
from nora_bench.envs.errors import InputError
from nora_bench.envs.instructions import Wording
from nora_bench.envs.perturbations.wordings import LONGEST, TYPO_SOURCE, read_wordings

HEAD = 'version = 2\nsource = "us"\n'


def test_wordings_are_found_by_the_instruction():
    text = HEAD + '[pick]\ninstruction = "pick up the cup"\nlexical = ["grab the cup"]\ntypo = ["pick upthe cup"]\n'
    found = read_wordings(text, "here.toml")
    assert found.version == 2
    assert found.texts == {
        "pick up the cup": (Wording("grab the cup", "lexical", "us"), Wording("pick upthe cup", "typo", TYPO_SOURCE))
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = ", r"here.toml: not TOML"),
        ('source = "us"', r"version must be"),
        ('version = true\nsource = "us"', r"version must be"),
        ("version = 1", r"source must"),
        (HEAD + "pick = 3", r"\[pick\] must be a table"),
        (HEAD + '[pick]\nlexical = ["a"]', r"\[pick\] instruction must be"),
        (HEAD + '[pick]\ninstruction = "a b"\npoetic = ["a"]', r"\[pick\]: unknown field 'poetic'"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = "a"', r"\[pick\] lexical must be a list"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = ["c", 3]', r"\[pick\] lexical 2 must be one line"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = ["a  c"]', r"\[pick\] lexical 1 must have"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = [""]', r"\[pick\] lexical 1 must have"),
        (HEAD + f'[pick]\ninstruction = "a b"\nlexical = ["{"a" * (LONGEST + 1)}"]', r"\[pick\] lexical 1 must have"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = ["caf\u00e9"]', r"ASCII"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = ["a\\nc"]', r"one line"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = ["A B"]', r"\[pick\] lexical 1 repeats"),
        (HEAD + '[pick]\ninstruction = "a b"\nlexical = ["c"]\nstructural = ["c"]', r"\[pick\] structural 1 repeats"),
        (HEAD + '[pick]\ninstruction = "a b"\n[take]\ninstruction = "a b"', r"\[take\] repeats the instruction"),
    ],
)
def test_mistake_is_named_with_its_place(text, message):
    with pytest.raises(InputError, match=message):
        read_wordings(text, "here.toml")
