"""The judge: checks the promises after a fault.

No recorded episode lost, none counted twice, the same results as without the fault, nothing left behind, and a message that
names the cause and the next command.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nora_bench.results.store.integrity import faults
from nora_bench.results.store.reader import DECODER, EPISODES_FILE, RUN_FILE, read_run
from nora_bench.results.store.records import ChecksumError, EpisodeRecord, verify_checksum

from . import orders, sessions
from .bench import MAX_SESSIONS, Bench, essence
from .sessions import Ended

ABSORBED, STOPPED, KILLED, MARKED = "absorbed", "stopped and told", "killed", "recorded as an error"
REPORTED = "reported by verify"
KNOWN = re.compile(rf"{EPISODES_FILE}|{RUN_FILE}|logs/[\w.-]+|actions/[\w-]+\.npy")
"""Files that a run may contain."""
LEAVE_S = 60
"""Seconds within which workers of a killed runner must exit."""


@dataclass(frozen=True)
class Strike:
    """An injected fault and its permitted consequences."""

    ended: Ended | None
    """The session with the fault; None where only files were damaged."""
    says: str = ""
    """Pattern of the cause in the output."""
    endings: tuple[str, ...] = (ABSORBED,)
    """Permitted endings of that session."""
    lasting: str = ""
    """Pattern of what `verify` must find in the finished run."""
    errors: tuple[str, ...] = ()
    """Scenes that must end in an error."""
    twice: bool = False
    """Whether the fault itself doubles a line."""
    ordered: bool = True
    """Whether an order was written, which must then have been carried out."""


class Broken(AssertionError):
    """A promise was violated."""


def judge(bench: Bench, strike: Strike) -> str:
    """The outcome of the fault, in words. Raises Broken."""
    kept = bench.records()
    went = _first(bench, strike)
    orders.Order("", "").withdraw(bench.folder)
    last = strike.ended if strike.ended and strike.ended.code in (0, 1) else _finish(bench)
    found = [*wrong(bench, strike, kept), *([] if last.code == int(bool(strike.errors)) else [f"it ended with {last.code}"])]
    if found:
        raise Broken("; ".join(found) + f"\n{strike.ended.said if strike.ended else ''}\n--- then ---\n{last.said}")
    return went


def _first(bench: Bench, strike: Strike) -> str:
    """Ending of the session with the fault, which must be permitted and explained."""
    ended = strike.ended
    if ended is None:
        return REPORTED if strike.lasting else ABSORBED
    went = {0: ABSORBED, 1: MARKED}.get(ended.code, KILLED if ended.code < 0 else STOPPED)
    unharmed = went == ABSORBED and STOPPED in strike.endings  # a disk that was large enough
    explained = went == KILLED or unharmed or re.search(strike.says, ended.said)
    advised = went != STOPPED or re.search("nora-bench [a-z]|fuser", ended.said)
    traceback = "Traceback (most recent call last)" in ended.said or ended.code == 70
    if went not in strike.endings or not explained or not advised or traceback:
        raise Broken(f"ended with {ended.code} ({went}; wanted {strike.endings}, said {strike.says!r}):\n{ended.said}")
    if strike.ordered and not orders.struck(bench.folder):
        raise Broken(f"the order never struck\n{ended.said}")
    return went


def _finish(bench: Bench) -> Ended:
    """Resume the run, as the message says, until it has finished."""
    for _ in range(MAX_SESSIONS):
        ended = bench.run_session()
        if ended.code in (0, 1):
            return ended
    raise Broken(f"{MAX_SESSIONS} sessions did not finish the run:\n{ended.said}")


def wrong(bench: Bench, strike: Strike, kept: Mapping[str, EpisodeRecord]) -> Iterator[str]:
    """Violated promises in a finished run.

    Args:
        bench: holds the run.
        strike: the injected fault.
        kept: records before it was resumed.
    """
    run = read_run(bench.run)
    final = {record.key: record for record in run.records}
    if lost := [key for key, record in kept.items() if final.get(key) != record]:
        yield f"recorded episodes lost or changed: {lost}"
    if final.keys() != bench.quiet.keys():
        yield f"episodes played: {sorted(final.keys() ^ bench.quiet.keys())}"
    for key, record in final.items():
        if key.partition("@")[0] in strike.errors:
            if record.success is not None:
                yield f"{key} has a result"
        elif essence(record) != essence(bench.quiet[key]):
            yield f"{key} is {essence(record)}, quietly {essence(bench.quiet[key])}"
    if (doubled := [key for key, count in _lines(bench.episodes).items() if count > 1]) and not strike.twice:
        yield f"lines twice: {doubled}"
    found = [fault for fault in faults(run) if not (strike.lasting and re.search(strike.lasting, fault))]
    if found:
        yield f"verify finds {found}"
    if strike.lasting and not re.search(strike.lasting, "\n".join(faults(run))):
        yield f"verify does not find {strike.lasting!r}: {faults(run)}"
    if run.metadata.status != "finished":
        yield f"its status is {run.metadata.to_json()['status']}"
    yield from _left_behind(bench, run.records)


def _left_behind(bench: Bench, records: tuple[EpisodeRecord, ...]) -> Iterator[str]:
    names = {path.relative_to(bench.run).as_posix() for path in bench.run.rglob("*") if path.is_file()}
    actions = {record.actions for record in records}
    if litter := sorted(
        name for name in names if not KNOWN.fullmatch(name) or (name.startswith("actions/") and name not in actions)
    ):
        yield f"files left behind: {litter}"
    end = time.monotonic() + LEAVE_S
    while left := sessions.relatives(bench.folder):
        if time.monotonic() > end:
            yield f"processes left behind: {left}"
            return
        time.sleep(0.01)


def _lines(path: Path) -> Counter[str]:
    """Number of lines per key."""
    found: Counter[str] = Counter()
    for line in path.read_bytes().splitlines():
        try:
            found[DECODER.decode(verify_checksum(line)).key] += 1
        except (msgspec.MsgspecError, UnicodeDecodeError, ChecksumError):
            continue
    return found
