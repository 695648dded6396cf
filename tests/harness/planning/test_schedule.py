from dataclasses import replace

from nora_bench.envs.base import EpisodeSpec
from nora_bench.harness.planning.schedule import RoundSchedule, Schedule


def specs(*tasks, states=4):
    return [EpisodeSpec("toy", task, state, 0, "toy/plain") for task in tasks for state in range(states)]


def played(schedule, worker):
    job = schedule.next(worker)
    return job and (job.spec.task_id, job.spec.init_state)


def test_worker_keeps_its_task():
    schedule = Schedule(specs(0, 1))
    assert [played(schedule, 0) for _ in range(5)] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_worker_builds_the_model_of_a_perturbation_once():
    names = ("", "camera1", "distractors1", "distractors2")
    plan = [replace(spec, perturbation=name) for spec in specs(0, states=2) for name in names]
    schedule = Schedule(plan)
    order = [schedule.next(0).spec.perturbation for _ in plan]
    assert order == ["", "camera1", "", "camera1", "distractors1", "distractors1", "distractors2", "distractors2"]


def test_workers_start_on_different_tasks():
    schedule = Schedule(specs(0, 1, 2))
    assert [played(schedule, worker)[0] for worker in range(3)] == [0, 1, 2]


def test_idle_worker_takes_the_task_with_most_episodes():
    schedule = Schedule([*specs(0, states=2), *specs(1, states=5), *specs(2, states=4)])
    assert [played(schedule, worker) for worker in range(3)] == [(1, 0), (2, 0), (0, 0)]
    assert [played(schedule, 2), played(schedule, 2)] == [(0, 1), (1, 1)]


def test_returned_episode_comes_next():
    schedule = Schedule(specs(0))
    job = schedule.next(0)
    assert job is not None
    schedule.put_back(job.again())
    again = schedule.next(1)
    assert again is not None
    assert (again.spec, again.attempt) == (job.spec, 2)


def test_every_episode_is_scheduled_once():
    schedule = Schedule(specs(0, 1, 2))
    given = [played(schedule, worker % 2) for worker in range(12)]
    assert sorted(given) == [(task, state) for task in range(3) for state in range(4)]
    assert (schedule.next(0), len(schedule)) == (None, 0)


def by_rounds(tasks=3, states=2):
    return RoundSchedule([EpisodeSpec("toy", task, state, 0, "toy/plain") for task in range(tasks)] for state in range(states))


def test_rounds_are_scheduled_in_order():
    schedule = by_rounds()
    assert [played(schedule, 0)[1] for _ in range(6)] == [0, 0, 0, 1, 1, 1]
    assert (schedule.next(0), len(schedule)) == (None, 0)


def test_worker_keeps_its_task_within_a_round():
    schedule = by_rounds()
    first = [played(schedule, worker)[0] for worker in (0, 1, 2)]
    assert [played(schedule, worker)[0] for worker in (2, 1, 0)] == first[::-1]


def test_returned_episode_comes_first_in_its_round():
    schedule = by_rounds()
    job = schedule.next(0)
    assert [played(schedule, 1)[1] for _ in range(3)] == [0, 0, 1]
    assert job is not None
    schedule.put_back(job.again())
    assert schedule.next(0) == job.again()
