"""Configurations and recipes in YAML."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from nora_bench.envs.safe_io import parse_yaml
from nora_bench.harness.config import parse, read_file
from nora_bench.training.engine.config import build, recipe_text
from nora_bench.training.preference.stage import DpoRecipe

from .mutations import as_json, texts, values
from .reading import reads

CONFIG = {
    "suite": ["libero_goal"],
    "tasks": "0,3-5",
    "episodes": 10,
    "seeds": 3,
    "policy": "random",
    "policy_arg": {"chunk": 5},
    "workers": "auto",
    "timeout": 300.0,
    "until": "width<10",
    "python": {"libero": "python3"},
    "max_steps": None,
}
YAML = "suite: [libero_goal]\ntasks: 0,3-5\nseeds: 7,8\npolicy-arg:\n  chunk: 5\nuntil: width<10\ntimeout: 3e2\n"
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in pairwise("abcdefghijklm"))
TAGS = ["!!python/object/apply:os.system ['touch taken']", "!!python/name:os.system", "!!int ''", "!!bool x", "!!timestamp x"]
DATES = ["2020-13-45", "2020-01-01", "1:90", "0o8", "0x", ".nan", "!!binary '*'", "? [a]\n: b", "<<: x", "? {a: b}\n: c"]


FILES = st.one_of(
    texts(YAML),
    values(CONFIG).map(lambda value: as_json(value).encode()),
    values({"config": CONFIG, "name": "a run"}).map(lambda value: as_json(value).encode()),
    st.sampled_from([*TAGS, *DATES]).map(lambda text: f"suite: libero\nseeds: {text}\n".encode()),
)


@given(FILES)
def test_a_configuration_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_bytes(data)
    reads("configurations", lambda: parse(read_file(path)))


@given(st.one_of(texts(recipe_text("nano", "dpo")[0]), st.sampled_from([*TAGS, *DATES]).map(str.encode)))
def test_a_recipe_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "recipe.yaml"
    path.write_bytes(data)
    reads("recipes", lambda: build(*recipe_text(str(path), "dpo"), DpoRecipe))


def test_a_short_text_cannot_stand_for_a_long_one():
    with pytest.raises(ValueError, match="aliases"):
        parse_yaml(BOMB)


@pytest.mark.parametrize("text", TAGS[:2])
def test_a_tag_runs_nothing(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="tag"):
        parse_yaml(text)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("seeds", [10**12, str(10**12), "0-99999999999", "9" * 5000])
def test_a_number_cannot_stand_for_a_long_list(cli, tmp_path, seeds):
    (tmp_path / "config.yaml").write_text(json.dumps({"suite": "libero", "seeds": seeds}))
    ended = cli("run", "--config", tmp_path / "config.yaml")
    assert (ended.code, "seeds" in ended.err) == (2, True)
