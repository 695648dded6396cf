"""What `nora-bench compare` prints, its JSON, and its exit codes."""

import json
from dataclasses import replace

import pytest


@pytest.fixture
def runs(run, libero):
    """Runs of one suite, told apart by their failures per task: `runs(3, 8)`."""

    def make(*failures, **fields):
        return [
            run(f"run{i}", libero(inits=20, failures=f, suites=("libero_goal",), policy=f"policy{i}", **fields)).folder
            for i, f in enumerate(failures)
        ]

    return make


def test_the_command_prints_flips_and_the_verdict(cli, runs):
    shown = cli("compare", *runs(3, 4))
    assert shown.code == 0
    assert "success of A only: libero_goal/task_0/init3/seed0@libero/openvla" in shown.out
    assert "10 episodes ended differently" in shown.out
    assert "A is better" in shown.out


def test_more_states_than_the_benchmark_has_are_reported(cli, run, libero):
    a, b = (run(f"run{f}", libero(failures=f, suites=("libero_goal",))) for f in (5, 6))
    b = run("b", [replace(r, success=not r.success) if r.init_state in (0, 5) and r.task_id < 3 else r for r in b.records])
    (match,) = json.loads(cli("compare", a.folder, b.folder, "--json").out)["matches"]
    assert (match["better"], match["states_available"]) == ("", 500)
    assert match["difference"]["scenes_needed"] > 500
    assert "more than the benchmark has (500)" in " ".join(cli("compare", a.folder, b.folder).out.split())


def test_json_lists_every_flip(cli, runs):
    (match,) = json.loads(cli("compare", *runs(3, 8), "--json").out)["matches"]
    assert (match["column"], match["better"], len(match["flipped"])) == ("Goal", "A", 50)


def test_nothing_is_cut_at_80_columns(cli, run, libero, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["NORA-1.5-with-a-name-that-is-far-longer-than-any-column-of-a-table", "B", "another-one-of-the-kind"]
    folders = [
        run(name, libero(inits=20, failures=3 * i, policy=name), protocol={"name": "libero/openvla", "version": 1}).folder
        for i, name in enumerate(names)
    ]
    two, three = cli("compare", *folders[:2]).out, cli("compare", *folders).out
    assert all(len(line) <= 80 for text in (two, three) for line in text.splitlines() if "success of" not in line)
    assert names[0] in two and all(name in three for name in names)


def test_both_rates_have_their_intervals(cli, runs):
    shown = cli("compare", *runs(3, 8)).out
    assert "A 85.0 [79.3, 89.6]  B 60.0 [52.9, 66.8]" in shown


def test_other_assets_are_rejected_without_anyway(cli, run, libero):
    a = run("a", libero(inits=2))
    b = run("b", libero(inits=2, assets={"pack": "standin", "fingerprint": "f"}))
    refused = cli("compare", a.folder, b.folder)
    assert refused.code == 2
    assert "assets: official 0123456789abcdef in A, standin f in B" in refused.err and "--anyway" in refused.err
    shown = cli("compare", a.folder, b.folder, "--anyway", "--json")
    assert [one["refused"] for one in json.loads(shown.out)["unlike"]] == [True]


def test_a_run_cut_at_fewer_steps_is_not_worse(cli, run, libero):
    """The same policy once lost to itself by 100 points."""
    cut = run("cut", libero(tasks=1, inits=8, failures=8, suites=("libero_object",)), config={"max_steps": 100})
    full = run("full", libero(tasks=1, inits=8, suites=("libero_object",)))
    assert cli("compare", cut.folder, full.folder).code == 2
    table = cli("table", cut.folder, full.folder, "--json")
    assert not [cell for cell in json.loads(table.out)["cells"] if cell["policy"] == "Δ measured"]
    anyway = cli("table", cut.folder, full.folder, "--json", "--anyway")
    assert [cell["value"] for cell in json.loads(anyway.out)["cells"] if cell["policy"] == "Δ measured"] == [100]


def test_the_command_tells_settings_of_the_policies_apart(cli, run, libero):
    """One checkpoint, played with and without samples: by its name it is the same policy."""
    a, b = (run(f"run{noise}", libero(inits=2), policy={"fingerprint": {"noise": noise, "chunk": 5}}) for noise in (1.0, 0.0))
    shown = cli("compare", a.folder, b.folder).out
    assert "noise: 1.0 in A, 0.0 in B" in shown and "chunk" not in shown
    assert json.loads(cli("compare", a.folder, b.folder, "--json").out)["settings"] == {"noise": [1.0, 0.0]}


def test_interrupted_run_is_reported(cli, run, libero):
    a = run("a", libero(inits=2), status="interrupted", counts={"planned": 2000})
    b = run("b", libero(inits=2))
    assert "80 of 2000 episodes, interrupted" in cli("compare", a.folder, b.folder).out
    assert json.loads(cli("compare", a.folder, b.folder, "--json").out)["short"] == {
        "a": ["80 of 2000 episodes, interrupted"],
        "b": [],
    }


def test_suite_of_one_run_alone_is_named(cli, run, libero):
    a = run("a", libero(inits=2, suites=("libero_goal", "libero_10")))
    b = run("b", libero(inits=2, suites=("libero_goal",)))
    assert "only one run has it: libero_10" in cli("compare", a.folder, b.folder).out


def test_three_runs_are_ranked_with_letters(cli, runs):
    folders = runs(3, 9, 3)
    shown = [line.split() for line in cli("compare", *folders).out.splitlines()[1:4]]
    assert [(line[0], line[1]) for line in shown] == [("1", "a"), ("1", "a"), ("3", "b")]
    found = json.loads(cli("compare", *folders, "--json").out)
    assert [one["letters"] for one in found["standings"]] == [["a"], ["a"], ["b"]]
    assert found["p_holm"][0][2] == 1.0


@pytest.mark.parametrize(("failures", "code"), [((3, 3), 0), ((3, 4), 1)])
def test_noninferiority_sets_the_exit_code(cli, run, libero, failures, code):
    a, b = (run(f"{i}", libero(failures=f)).folder for i, f in enumerate(failures))
    ended = cli("compare", a, b, "--no-worse-than", "2", "--json")
    found = json.loads(ended.out)["not_worse"]
    assert (ended.code, found["shown"], found["by"]) == (code, not code, "Average")
    assert cli("compare", a, b, "--no-worse-than", "2").code == code


@pytest.mark.parametrize("margin", ["0", "-1", "101", "nan"])
def test_a_margin_that_means_nothing_is_refused(cli, runs, margin):
    assert cli("compare", *runs(3, 3), "--no-worse-than", margin).code == 2


def test_noninferiority_requires_comparable_conditions(cli, run, libero):
    a, b = run("a", libero(inits=2)), run("b", libero(inits=2), config={"max_steps": 9})
    assert cli("compare", a.folder, b.folder, "--no-worse-than", "2").code == 2


def test_correlations_with_the_robot(cli, runs, run, record):
    real = [
        run(f"real{i}", [record("widowx", "Put carrot in pot", n, success=n < k, policy=f"policy{i}") for n in range(10)]).folder
        for i, k in enumerate((9, 7, 3))
    ]
    sim, options = runs(2, 4, 8), [part for folder in real for part in ("--real", folder)]
    assert "Spearman 1.000 [" in cli("compare", *sim, *options).out
    found = json.loads(cli("compare", *sim, *options, "--json").out)["real"]
    assert (found["spearman"]["value"], found["mmrv"]["value"]) == (pytest.approx(1), 0)
    two = cli("compare", *sim[:2], *options)
    assert "at least 3 policies" in two.out
    assert json.loads(cli("compare", *sim[:2], *options, "--json").out)["real"]["pearson"] is None


@pytest.mark.parametrize("count", [0, 1])
def test_single_run_is_rejected(cli, runs, count):
    assert cli("compare", *runs(*[3] * count)).code == 2


def test_runs_that_share_nothing_are_refused_with_what_to_do(cli, run, libero):
    a, b = run("a", libero(suites=("libero_goal",), inits=1)), run("b", libero(suites=("libero_10",), inits=1))
    ended = cli("compare", a.folder, b.folder)
    assert ended.code == 2
    assert "the same --suite" in ended.err
