import json

import pytest
from nora_bench.results.store import schema
from nora_bench.results.store.records import EpisodeRecord
from nora_bench.results.store.run_metadata import RunMetadata

RECORD, RUN = schema.record_schema(), schema.run_schema()


@pytest.mark.parametrize(("name", "generated"), [("record", RECORD), ("run", RUN)])
def test_committed_schema_equals_the_generated_one(repository, name, generated):
    committed = repository / "results" / "store" / f"{name}.schema.json"
    assert committed.read_text(encoding="utf-8") == schema.text(generated)


def test_every_field_of_a_record_is_in_the_schema(record):
    assert set(record().to_json()) == set(RECORD["properties"])


@pytest.mark.parametrize("generated", [RECORD, RUN], ids=["record", "run"])
def test_every_field_is_documented(repository, generated):
    page = (repository / "docs" / "reference" / "records.md").read_text(encoding="utf-8")
    assert [name for name in generated["properties"] if f"`{name}`" not in page] == []


def test_schema_lists_required_fields_of_a_record():
    assert {"key", "suite", "success", "termination"} <= set(RECORD["required"])


def test_record_without_a_required_field_is_rejected(record):
    for name in RECORD["required"]:
        values = {key: value for key, value in record().to_json().items() if key != name}
        with pytest.raises(ValueError, match=name):
            EpisodeRecord.from_json(values)


def test_defaults_of_the_schema_are_the_readers(record):
    properties, required = RECORD["properties"], RECORD["required"]
    values = record().to_json()
    read = json.loads(json.dumps(EpisodeRecord.from_json({name: values[name] for name in required}).to_json()))
    assert {name: one["default"] for name, one in properties.items() if "default" in one} == {
        name: value for name, value in read.items() if name not in required
    }


def test_field_of_a_new_kind_raises():
    with pytest.raises(TypeError, match="schema"):
        schema._shape(set[int])


def test_fields_that_run_json_lacks_stay_absent():
    assert RunMetadata.from_json({"name": "a"}).to_json() == {"name": "a"}


def test_null_stays_null():
    assert RunMetadata.from_json({"finished": None}).to_json() == {"finished": None}


def test_unknown_fields_of_run_json_are_kept_at_every_level():
    values = {"policy": {"name": "p", "new": 1}, "later": [1], "other": 2}
    assert RunMetadata.from_json(values).update(status="running").to_json() == {"status": "running", **values}


@pytest.mark.parametrize("values", [{"name": 1}, {"policy": {"name": 1}}, {"sessions": [1]}, {"until": {"stop": True}}])
def test_field_of_another_type_is_rejected(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        RunMetadata.from_json(values)
