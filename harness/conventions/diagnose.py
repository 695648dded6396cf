"""`nora-bench diagnose` from a request to its report: record, query, score, confirm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ...envs.errors import InputError
from ...policies.base import Policy, PolicyContext
from ...policies.scripted.policy import EXPERTS
from ..config import parse
from ..execution.policy_host import LocalPolicyHost
from ..planning.resolve import ResolvedRun, resolve_run
from .confirmation import MOST, confirm, is_executable
from .diagnosis import Diagnosis, Examination
from .moments import Moment, RunEpisodes, Tick, policy_log
from .querying import Queries
from .recording import EXPERT, Recording, answered_moments, recorded_moments, spread
from .report import Report, Request
from .selection import Subject

EPISODES, MOMENTS = 8, 48
"""Expert episodes and moments of all of them together."""
CONFIRM_TASKS = 2
"""Tasks of the paired episodes: building one costs seconds."""

Bar = Callable[[str, int], AbstractContextManager[Tick]]
"""Progress bar: label and total -> callback."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with every name looked up."""

    request: Request
    subject: Subject
    resolved: ResolvedRun
    """The policy's own run of the suite, all episodes."""
    recording: Recording


def prepare(request: Request, policy: Policy | None = None) -> Prepared:
    """Look everything up. Raises InputError, MissingRequirementError, PolicyError, SuiteError."""
    if not 0 <= request.confirm <= MOST:
        raise InputError(f"--confirm must be 0 to {MOST} pairs of episodes, not {request.confirm}", option="--confirm")
    common = {
        "suite": [request.suite],
        "protocol": request.protocol,
        "assets": request.assets,
        "workers": request.workers,
        "backend": request.backend,
    }
    resolved = resolve_run(parse({**common, "policy": request.policy, "policy_arg": dict(request.policy_arg) or None}), policy)
    suites = resolved.setup.suites
    if len(suites) != 1:
        names = ", ".join(suite.name for suite in suites)
        raise InputError(f"a diagnosis is of one suite, not of {names}; name one with --suite", option="--suite")
    if suites[0].family not in EXPERTS:
        raise InputError(
            f"suite {suites[0].name} has no scripted expert, with which a diagnosis compares a policy; suites of LIBERO and "
            f"SimplerEnv have one. See `nora-bench list suites`",
            option="--suite",
            value=request.suite,
        )
    expert = resolve_run(parse({**common, "policy": EXPERT}))
    subject = Subject(request.policy, request.policy_arg, resolved.policy, suites[0], resolved.setup.protocol)
    recording = Recording(expert, resolved.policy.observation_spec, EPISODES, MOMENTS)
    return Prepared(request, subject, resolved, recording)


def examine(prepared: Prepared, run: RunEpisodes, bar: Bar) -> Report:
    """Diagnose. Raises InputError, MissingRequirementError, PolicyError, Interrupted."""
    if prepared.subject.policy.observation_spec.privileged:
        return _privileged(prepared, run, bar)
    subject = prepared.subject
    host = LocalPolicyHost(subject.policy, policy_log())
    context = PolicyContext(subject.protocol, (subject.suite.name,), len(subject.protocol.settle_action))
    host.setup(context)  # first: a checkpoint that cannot be loaded costs no episodes
    try:
        with bar("expert episodes", 2 * len(prepared.recording.specs())) as tick:
            moments, _ = recorded_moments(prepared.recording, run, tick)
        examination = Examination(subject, moments)
        with bar("queries", examination.queries_due) as tick:
            diagnosis = examination.diagnose(Queries(host, subject.policy.observation_spec, tick))
        return _confirmed(prepared, diagnosis, moments, run, bar)
    finally:
        host.close()


def _privileged(prepared: Prepared, run: RunEpisodes, bar: Bar) -> Report:
    """A policy that reads the simulator's state follows whole episodes; conventions of its observations do not apply."""
    subject = prepared.subject
    try:
        with bar("expert episodes", len(prepared.recording.specs())) as tick:
            moments, chunks = answered_moments(prepared.recording, run, subject.policy, tick)
        diagnosis = Examination(subject, moments).diagnose_answers(chunks)
        return _confirmed(prepared, diagnosis, moments, run, bar)
    finally:
        subject.policy.close()


def _confirmed(prepared: Prepared, diagnosis: Diagnosis, moments: list[Moment], run: RunEpisodes, bar: Bar) -> Report:
    request, best = prepared.request, diagnosis.best
    pack = prepared.resolved.assets.name
    if best is None or not request.confirm:
        return Report(request, diagnosis, pack, None)
    found = best.hypothesis
    if not is_executable(found.act, moments[0].expert, moments[0].observation):
        return Report(request, diagnosis, pack, None, "not confirmed in episodes: the first action of a chunk cannot be restored")
    specs = spread(prepared.resolved.plan.episodes, request.confirm, CONFIRM_TASKS, shift=EPISODES)
    with bar("paired episodes", 2 * len(specs)) as tick:
        outcome = confirm(prepared.resolved, run, specs, (found.observe, found.act), tick)
    return Report(request, diagnosis, pack, outcome)
