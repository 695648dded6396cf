import json

import pytest
from nora_bench.envs import suites
from nora_bench.harness.planning import listing
from nora_bench.policies import registry


@pytest.mark.parametrize("kind", ["suites", "tasks", "policies", "protocols", "perturbations"])
def test_json_is_a_list_of_named_rows(cli, kind):
    rows = json.loads(cli("list", kind, "--json").out)
    assert all(row["name"] for row in rows)


def test_tasks_of_a_group_are_those_of_its_suites(cli):
    rows = json.loads(cli("list", "tasks", "--suite", "libero", "--json").out)
    assert len(rows) == 40
    assert {row["suite"] for row in rows} == {"libero_spatial", "libero_object", "libero_goal", "libero_10"}


def test_an_unknown_suite_names_the_nearest(cli):
    ended = cli("list", "tasks", "--suite", "libero_gaol")
    assert ended.code == 2
    assert "did you mean libero_goal" in ended.err


def test_protocols_stand_side_by_side_with_their_differences_marked(cli):
    lines = {line.split("│")[1].strip(): line for line in cli("list", "protocols").out.splitlines() if line.startswith("│")}
    assert "220" in lines["budget libero_spatial"]
    assert "990" in lines["budget libero_spatial"]
    assert "≠" in lines["budget libero_spatial"]
    assert "≠" not in lines["settle_steps"]


def test_the_default_protocol_says_so(cli):
    rows = {row["name"]: row for row in json.loads(cli("list", "protocols", "--json").out)}
    assert rows["libero/openvla"]["default_for"] == ["libero"]
    assert rows["libero/nora"]["default_for"] == []


def test_policies_show_their_arguments(cli):
    rows = {row["name"]: row for row in json.loads(cli("list", "policies", "--json").out)}
    assert rows["random"]["arguments"] == "chunk=1"


def test_a_policy_that_cannot_be_imported_is_listed_with_the_reason(cli, monkeypatch):
    broken = registry.Registry("policy", "none", {"broken": "no_such_module:Policy"})
    monkeypatch.setattr(registry, "POLICIES", broken)
    rows = json.loads(cli("list", "policies", "--json").out)
    assert "No module named 'no_such_module'" in rows[0]["what"]


def test_suite_that_cannot_be_used_is_listed_with_the_reason(monkeypatch):
    monkeypatch.setitem(suites.REGISTRY._known, "broken", lambda: 1 / 0)
    row = next(row for row in listing.suite_rows() if row["name"] == "broken")
    assert "ZeroDivisionError" in row["title"] and row["tasks"] is None


def test_perturbations_name_their_kind_unit_source_and_suites(cli):
    rows = json.loads(cli("list", "perturbations", "--json").out)
    latency = next(row for row in rows if row["axis"] == "latency")
    assert (latency["name"], latency["kind"]) == ("latency-100ms", "latency")
    assert latency["unit"] and latency["source"]
    assert {"libero_goal", "simpler-vm", "simpler-widowx"} <= set(latency["suites"])


def test_perturbations_are_listed_for_people(cli):
    ended = cli("list", "perturbations")
    assert ended.code == 0
    assert "latency" in ended.out


def test_instructions_of_a_task_are_its_own_its_wordings_and_those_of_other_tasks(cli):
    rows = json.loads(cli("list", "instructions", "--suite", "libero_goal", "--task", 7, "--json").out)
    assert {row["kind"] for row in rows} == {"original", "lexical", "structural", "pragmatic", "typo", "wrong"}
    assert {(row["suite"], row["task"]) for row in rows} == {("libero_goal", 7)}
    assert all(row["text"] and row["source"] for row in rows)


def test_instructions_of_the_libero_suites_are_at_least_twenty_wordings_per_task(cli):
    rows = json.loads(cli("list", "instructions", "--suite", "libero", "--json").out)
    wordings = [row for row in rows if row["kind"] not in ("original", "wrong")]
    assert len({(row["suite"], row["task"]) for row in wordings}) == 40
    assert len(wordings) >= 800


def test_instructions_of_one_kind_are_listed_alone(cli):
    rows = json.loads(cli("list", "instructions", "--suite", "libero_spatial", "--kind", "wrong", "--json").out)
    assert len(rows) == 10
    assert {row["kind"] for row in rows} == {"wrong"}


def test_instructions_with_variables_are_listed_as_episodes_have_them(cli):
    rows = json.loads(cli("list", "instructions", "--suite", "simpler-widowx", "--kind", "original", "--json").out)
    assert len(rows) == 4
    assert (
        len(json.loads(cli("list", "instructions", "--suite", "simpler-vm", "--task", 1, "--kind", "original", "--json").out)) > 5
    )


@pytest.mark.parametrize("options", [("--kind", "poetic"), ("--suite", "libero_goal", "--task", 10), ("--suite", "libero_gaol")])
def test_instructions_of_an_unknown_name_are_bad_input(cli, options):
    assert cli("list", "instructions", *options).code == 2


@pytest.mark.parametrize(
    "arguments",
    [("perturbations", "--suite", "libero_goal"), ("tasks", "--kind", "typo"), ("suites", "--task", 1)],
)
def test_option_without_effect_is_rejected(cli, arguments):
    assert cli("list", *arguments).code == 2


def test_kind_without_stored_texts_is_said(cli):
    listed = cli("list", "instructions", "--suite", "libero_90", "--kind", "lexical")
    assert (listed.code, "lexical" in listed.err) == (2, True)
