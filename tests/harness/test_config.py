import json

import pytest
import yaml
from msgspec import UNSET
from nora_bench.envs.errors import InputError, UnknownName
from nora_bench.harness.config import RunConfig, integers, parse, read_file, recorded_config


def of(**values):
    return parse({"suite": "libero_goal", **values})


def test_defaults_are_those_of_run_config():
    assert of() == RunConfig(suite=("libero_goal",))


@pytest.mark.parametrize(
    ("text", "numbers"), [("0,3-5", (0, 3, 4, 5)), ("40-42", (40, 41, 42)), ("3,3,1", (3, 1)), ([2, "4-5"], (2, 4, 5)), (7, (7,))]
)
def test_numbers_and_ranges(text, numbers):
    assert integers(text) == numbers


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (0, 1, 2)), (3, (0, 1, 2)), ("7,8,9", (7, 8, 9)), ("7,", (7,)), ("7-9", (7, 8, 9)), ([5], (5,))]
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert of(seeds=text).seeds == seeds


def test_tasks_are_ids_and_names():
    assert of(tasks="0,3-4,open_the_drawer").tasks == ("0", "3", "4", "open_the_drawer")


def test_policy_arguments_are_pairs_or_a_mapping():
    assert of(policy_arg=["a=1", "b=x=y"]).policy_arg == {"a": "1", "b": "x=y"}
    assert of(policy_arg={"a": 1, "b": True}).policy_arg == {"a": "1", "b": "true"}


@pytest.mark.parametrize("value", ["fresh:a", "frehs:0"])
def test_bad_initial_states_show_how_fresh_ones_are_written(value):
    with pytest.raises(InputError, match="fresh:0-9"):
        of(init_states=value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("episodes", "0"),
        ("episodes", "many"),
        ("episodes", True),
        ("seeds", "-1"),
        ("seeds", ","),
        ("init_states", "5-3"),
        ("init_states", "0-9999999999"),
        ("init_states", "0-9,fresh:0-9"),
        ("init_states", "fresh:0-9,fresh"),
        ("init_states", "stale:0-9"),
        ("workers", "some"),
        ("workers", 1.5),
        ("timeout", "0"),
        ("timeout", "nan"),
        ("retries", "-1"),
        ("policy_arg", ["chunk"]),
        ("policy", ""),
        ("suite", ","),
        ("tasks", ""),
        ("tasks", ","),
        ("init_states", ""),
        ("policy_gpus", "x"),
        ("timeout", "soon"),
    ],
)
def test_bad_value_is_rejected_with_its_option(field, value):
    with pytest.raises(InputError) as caught:
        of(**{field: value})
    assert (caught.value.option, caught.value.value) == ("--" + field.replace("_", "-"), value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("episodes", "0"), ("seeds", "x"), ("policy_gpus", "x"), ("timeout", "soon"), ("video", "some"), ("tasks", "")],
)
def test_rejected_value_is_followed_by_the_expected_form(field, value):
    with pytest.raises(InputError, match=f"{value!r}: expected "):
        of(**{field: value})


@pytest.mark.parametrize("field", ["tasks", "init_states"])
def test_empty_list_of_a_stored_run_means_all(field):
    assert getattr(of(**{field: []}), field) == ()


def test_unknown_field_names_the_nearest():
    with pytest.raises(UnknownName) as caught:
        of(protokol="libero/nora")
    assert (caught.value.kind, caught.value.name) == ("field", "protokol")
    assert "protocol" in caught.value.known


def test_missing_suite_names_the_option():
    with pytest.raises(InputError) as caught:
        parse({})
    assert caught.value.option == "--suite"


FULL = {
    "suite": ["libero_goal", "libero_10"],
    "tasks": "0,3-5",
    "episodes": 5,
    "init_states": "40-49",
    "seeds": "7,8",
    "policy": "random",
    "policy_arg": {"chunk": "5"},
    "protocol": "libero/nora",
    "workers": 3,
    "max_steps": 100,
    "assets": "official",
    "out": "runs/x",
    "timeout": 60,
    "retries": 0,
    "until": "width<5",
    "video": "failures",
}


def test_json_round_trip_keeps_the_configuration():
    config = parse(FULL)
    assert parse(json.loads(json.dumps(config.to_json()))) == config


def test_fresh_initial_states_survive_the_round_trip():
    config = parse({**FULL, "init_states": "fresh:7,2-3"})
    assert config.init_states == ("fresh:7", "fresh:2", "fresh:3")
    assert parse(json.loads(json.dumps(config.to_json()))) == config


def test_yaml_file_has_the_same_fields(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({name.replace("_", "-"): value for name, value in FULL.items()}))
    assert parse(read_file(path)) == parse(FULL)


def test_run_json_is_a_configuration_without_its_folder(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"version": 1, "config": parse(FULL).to_json(), "status": "finished"}))
    assert parse(read_file(path)) == parse({**FULL, "out": None})


@pytest.mark.parametrize("text", ["- a\n- b", "suite: [", "!!python/object/apply:os.getcwd []", "3: x"])
def test_file_without_fields_is_rejected(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        parse(read_file(path))
    assert caught.value.option == "--config"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        read_file(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("config", [None, {}, UNSET])
def test_stored_run_without_config_is_named(tmp_path, config):
    with pytest.raises(InputError, match=r"run\.json has no `config`") as caught:
        recorded_config(config, tmp_path)
    assert (caught.value.option, caught.value.value) == ("config", str(tmp_path))
