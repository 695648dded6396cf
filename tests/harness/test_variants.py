"""A suite whose tasks have variants, played from end to end."""


def play(bench, *args):
    return bench("--episodes", 6, *args, suite="fakes:toy_looks")


def test_records_name_variant_instruction_and_backend(bench):
    records = play(bench, "--tasks", 0).records.values()
    reported = {(record.variant, record.instruction, record.backend) for record in records}
    assert reported == {(look, f"go home through the {look} door", "here") for look in ("red", "green", "blue")}


def test_run_with_variants_can_be_resumed(bench):
    first = play(bench, "--tasks", 0)
    lines = (first.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (first.folder / "episodes.jsonl").write_text("".join(lines[:2]))
    bench("--resume", suite="fakes:toy_looks")
    assert len(first.records) == 6


def test_tasks_own_budget_ends_its_episodes(bench):
    played = bench("--episodes", 1, suite="fakes:toy_looks", policy="zero")
    assert [record.steps for record in sorted(played.records.values(), key=lambda record: record.task_id)] == [20, 21, 20]


def test_initial_state_of_two_variants_is_two_episodes(bench):
    played = bench("--init-states", 4, "--tasks", 1, suite="fakes:toy_looks")
    assert len(set(played.records)) == 3


def test_run_json_names_the_backend(bench):
    assert play(bench, "--tasks", 2, "--backend", "here").run["backend"] == "here"
