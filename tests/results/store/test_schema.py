import json

import pytest
from nora_bench.results.store import schema
from nora_bench.results.store.records import EpisodeRecord


def test_the_committed_schema_is_the_generated_one(repository):
    assert (repository / "results" / "store" / "record.schema.json").read_text(encoding="utf-8") == schema.text()


def test_every_field_of_a_record_is_in_the_schema(record):
    assert set(record().to_json()) == set(schema.schema()["properties"])


def test_every_field_is_documented(repository):
    page = (repository / "docs" / "reference" / "records.md").read_text(encoding="utf-8")
    assert [name for name in schema.schema()["properties"] if f"`{name}`" not in page] == []


def test_the_schema_says_which_fields_a_record_cannot_lack():
    assert {"key", "suite", "success", "termination"} <= set(json.loads(schema.text())["required"])


def test_what_lacks_a_required_field_is_no_record(record):
    for name in schema.schema()["required"]:
        values = {key: value for key, value in record().to_json().items() if key != name}
        with pytest.raises(ValueError, match=name):
            EpisodeRecord.from_json(values)


def test_the_schemas_defaults_are_the_readers(record):
    properties, required = schema.schema()["properties"], schema.schema()["required"]
    values = record().to_json()
    read = json.loads(json.dumps(EpisodeRecord.from_json({name: values[name] for name in required}).to_json()))
    assert {name: one["default"] for name, one in properties.items() if "default" in one} == {
        name: value for name, value in read.items() if name not in required
    }


def test_a_field_of_a_new_kind_is_refused_instead_of_left_out():
    with pytest.raises(TypeError, match="schema"):
        schema._shape(set[int])
