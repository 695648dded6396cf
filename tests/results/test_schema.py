import json

from nora_bench.results import schema


def test_the_committed_schema_is_the_generated_one(repository):
    assert (repository / "results" / "record.schema.json").read_text(encoding="utf-8") == schema.text()


def test_every_field_of_a_record_is_in_the_schema(record):
    assert set(record().to_json()) == set(schema.schema()["properties"])


def test_every_field_is_documented(repository):
    page = (repository / "docs" / "records.md").read_text(encoding="utf-8")
    assert [name for name in schema.schema()["properties"] if f"`{name}`" not in page] == []


def test_the_schema_says_which_fields_a_record_cannot_lack():
    assert {"key", "suite", "success", "termination"} <= set(json.loads(schema.text())["required"])
