"""Does a policy follow the words? Two goals, tested against each other."""

import pytest
from nora_bench.results.comparisons.words import PERTURBATION, follows_words


@pytest.fixture
def episodes(record):
    """Episodes with another task's instruction: `episodes(asked=3, original=1, neither=2, errors=0)`, one per initial state."""

    def make(task=0, **counts):
        goals = [name for name, count in counts.items() for _ in range(count)]
        return [
            record(
                task=task,
                init=state,
                success=None if goal == "errors" else goal == "original",
                perturbation=PERTURBATION,
                measures={} if goal == "errors" else {"asked_goal": goal == "asked", "original_goal": goal == "original"},
            )
            for state, goal in enumerate(goals)
        ]

    return make


@pytest.mark.parametrize(
    ("asked", "original", "verdict"),
    [(12, 1, "yes"), (1, 12, "no"), (3, 2, "undecided"), (0, 0, "undecided"), (5, 0, "undecided"), (6, 0, "yes"), (0, 6, "no")],
)
def test_verdict_is_the_goal_that_is_reached_more_often(episodes, asked, original, verdict):
    found = follows_words(episodes(asked=asked, original=original, neither=7))
    assert (found.asked, found.original, found.neither, found.errors) == (asked, original, 7, 0)
    assert found.verdict == verdict


def test_p_value_is_that_of_mcnemars_exact_test(episodes):
    # 9 discordant pairs, 8 of them one way: 2 * (1 + 9) / 2**9
    assert follows_words(episodes(asked=8, original=1, neither=4)).p == pytest.approx(20 / 512)


def test_seeds_of_one_initial_state_count_once(episodes, record):
    copies = [
        record(init=0, seed=seed, success=False, perturbation=PERTURBATION, measures={"asked_goal": True, "original_goal": False})
        for seed in range(20)
    ]
    assert follows_words(copies).p == pytest.approx(1.0)


def test_episode_that_reached_both_goals_in_one_step_decides_nothing(episodes, record):
    both = record(init=30, perturbation=PERTURBATION, measures={"asked_goal": True, "original_goal": True})
    found = follows_words([*episodes(asked=6, neither=2), both])
    assert (found.asked, found.original, found.neither) == (6, 0, 3)


def test_errors_count_against_the_verdict(episodes):
    assert follows_words(episodes(asked=7)).verdict == "yes"
    found = follows_words(episodes(asked=7, errors=4))
    assert (found.verdict, found.errors, found.episodes) == ("undecided", 4, 7)


def test_other_episodes_are_left_alone(episodes, record):
    plain = [record(init=state) for state in range(9)]
    assert follows_words([*plain, *episodes(asked=6)]) == follows_words(episodes(asked=6))


def test_episodes_without_the_goals_outcome_give_no_verdict(record):
    assert follows_words([]) is None
    assert follows_words([record(perturbation=PERTURBATION)]) is None
    assert follows_words([record(success=None, perturbation=PERTURBATION)]) is None


def test_line_and_fields_hold_verdict_counts_and_p(episodes):
    found = follows_words(episodes(asked=12, original=1, neither=7, errors=1))
    assert found.text().startswith("follows the words: yes (")
    assert "12 of 20 episodes" in found.text()
    assert "1 ended in errors" in found.text()
    assert found.to_json() == {
        "verdict": "yes",
        "asked": 12,
        "original": 1,
        "neither": 7,
        "errors": 1,
        "p": found.p,
        "episodes": 20,
    }
