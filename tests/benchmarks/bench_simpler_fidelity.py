"""Does a backend of SimplerEnv give the original's success rates? Paired episodes of two backends under scripted controllers.

    python tests/benchmarks/bench_simpler_fidelity.py --store FOLDER [--assets FOLDER] [--keys 60] [--half reported]

Every controller (fidelity_episodes.py) runs on the same keys in both backends, from privileged state, without images. FOLDER
keeps one line per finished episode, so a stopped run continues; a changed controller or backend runs again. The keys of a group
are halved: settings of a backend may be chosen on `chosen` only and are reported on `reported`; `all` alternates. `--report`
prints what the store has. About 15 CPU seconds per pair, nearly all of them inside the engines' steps. `--outcomes` ends an
episode of pick coke can once its success is final, which then has no other measures.

`--reference` is the original (`sapien2`, which needs its interpreter: nora-bench doctor --fix --simpler), `--backend` the backend
in question.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fidelity_episodes import GRASPING, GROUPS, MEASURES, Key, keys_of, run_episode

Pair = tuple[tuple[str, str, str], dict[str, Any], dict[str, Any]]
"""(group, controller, key), the reference's episode, the backend's."""


def code_of(backend: str) -> str:
    """Digest of what decides an episode: the expert's sources and the backend's."""
    import nora_bench.envs as envs
    import nora_bench.policies as policies

    physics = Path(next(iter(envs.__path__))) / "simpler" / "sim"
    expert = Path(next(iter(policies.__path__))) / "scripted"
    own = physics / backend if (physics / backend).is_dir() else physics
    sources = [*sorted(expert.glob("google_robot/*.py")), expert / "steps.py", *sorted(own.glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def read_rows(options: argparse.Namespace, backend: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(group, controller, key) -> finished episode of a backend; the newest where there are several."""
    path, code = options.store / f"{backend}.jsonl", code_of(backend)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    rows = [row for row in rows if options.any_code or row["code"] == code]
    rows = [row for row in rows if options.outcomes or not row.get("outcome_only")]
    return {(row["group"], row["controller"], row["key"]): row for row in rows}


def wanted(options: argparse.Namespace) -> Iterator[tuple[str, str, Key]]:
    """Episodes in an order in which a stopped run has about equally many keys in every cell."""
    halves = ("reported",) if options.half == "reported" else ("chosen",) if options.half == "chosen" else ("chosen", "reported")
    cells = [(g, c) for g, own in GROUPS.items() if g in options.groups for c in own if c in options.controllers]
    of = {cell: [keys_of(*cell)[half] for half in halves] for cell in cells}
    for index in range(options.keys):
        for group, controller in cells:
            half, place = index % len(halves), index // len(halves)
            if place < len(of[group, controller][half]):
                yield group, controller, of[group, controller][half][place]


def run_missing(options: argparse.Namespace) -> None:
    """Run the missing episodes of both backends, pair by pair."""
    from nora_bench.envs import suites
    from nora_bench.envs.base import EnvOptions
    from nora_bench.envs.simpler.assets.packs import resolve

    pack = resolve(options.assets)
    backends = tuple(dict.fromkeys((options.reference, options.backend)))
    known = {backend: read_rows(options, backend) for backend in backends}
    code, envs = {backend: code_of(backend) for backend in backends}, {}
    cache = str(options.store / "cache")
    for group, controller, key in wanted(options):
        for backend in backends:
            if (group, controller, key.name) in known[backend]:
                continue
            if backend not in envs:
                envs[backend] = suites.get("simpler-vm").make_env(EnvOptions(pack.path, "none", cache, backend))
            began = cpu_seconds()
            row = {"group": group, "controller": controller, "key": key.name, "code": code[backend], "pack": pack.fingerprint}
            row |= run_episode(envs[backend], controller, key, outcomes=options.outcomes)
            row["cpu_s"] = round(cpu_seconds() - began, 2)
            with (options.store / f"{backend}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{backend:8} {group}, {controller}: {key.name} {'success' if row['success'] else 'failure'}", file=sys.stderr)
    for env in envs.values():
        env.close()


def cpu_seconds() -> float:
    """CPU of this process and its descendants, living ones too (Linux; elsewhere without them)."""
    total, tick = sum(os.times()[:4]), os.sysconf("SC_CLK_TCK")
    pending = [os.getpid()]
    while pending:
        tasks = Path(f"/proc/{pending.pop()}/task")
        children = [pid for path in tasks.glob("*/children") for pid in path.read_text().split()]
        pending += map(int, children)
        total += sum(sum(map(int, _after_name(pid).split()[11:15])) / tick for pid in children)
    return total


def _after_name(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]


def report(options: argparse.Namespace) -> None:
    """Print paired differences, measures and cost of the stored pairs of the chosen half."""
    a, b = (read_rows(options, name) for name in (options.reference, options.backend))
    cells = [(group, controller, key.name) for group, controller, key in wanted(options)]
    pairs = [(cell, a[cell], b[cell]) for cell in cells if cell in a and cell in b]
    print(f"A {options.reference}, B {options.backend}; keys: {options.half}, {len(pairs)} pairs; points with 95 % intervals\n")
    print("| group, controller | A | B | B - A | only A, only B | exact p |\n| --- | --- | --- | --- | --- | --- |")
    for group, controllers in GROUPS.items():
        own = [pair for pair in pairs if pair[0][0] == group]
        for controller in controllers:
            if part := [pair for pair in own if pair[0][1] == controller]:
                print(outcome_line(f"{group}, {controller}", part))
        if own:
            print(outcome_line(f"**{group}**, all, by key", own))
    report_measures(pairs)
    for place, name in ((1, options.reference), (2, options.backend)):
        if pairs:
            print(f"CPU per episode, {name}: median {statistics.median(pair[place]['cpu_s'] for pair in pairs):.1f} s")


def outcome_line(name: str, pairs: Sequence[Pair]) -> str:
    """Successes of both, paired difference with interval, discordant pairs, exact McNemar (by key where there are several)."""
    from nora_bench.results.statistics.exact import State
    from nora_bench.results.statistics.paired_test import TaskDifferences, difference, p_text

    states: dict[str, list[tuple[int, int, int, int]]] = {}
    for (_, _, key), ra, rb in pairs:
        states.setdefault(key, []).append((int(ra["success"]), 1, int(rb["success"]), 1))
    found = difference([TaskDifferences(1.0, [State(tuple(own)) for own in states.values()])])
    mean, low, high = (100 * value for value in (found.mean, found.low, found.high))
    only_a = sum(a["success"] and not b["success"] for _, a, b in pairs)
    only_b = sum(b["success"] and not a["success"] for _, a, b in pairs)
    first, second, n = (sum(a["success"] for _, a, _ in pairs), sum(b["success"] for _, _, b in pairs), len(pairs))
    return (
        f"| {name} | {first}/{n} | {second}/{n} | {mean:+.1f} [{low:.1f}, {high:.1f}] | {only_a}, {only_b} | {p_text(found.p)} |"
    )


def report_measures(pairs: Sequence[Pair]) -> None:
    """Print medians of both backends and the median paired difference with a distribution-free interval."""
    print("\n| group | measure | n | A | B | median of B - A |\n| --- | --- | --- | --- | --- | --- |")
    for group in GROUPS:
        own = [pair for pair in pairs if pair[0][0] == group]
        for name, (text, factor) in MEASURES.items():
            chosen = own if name in ("moved", "travel") else [pair for pair in own if pair[0][1] in GRASPING]
            both = [(a[name] * factor, b[name] * factor) for _, a, b in chosen if name in a and name in b]
            if len(both) > 5:
                first, second = (statistics.median(column) for column in zip(*both, strict=True))
                changes = [b - a for a, b in both]
                low, high = median_interval(changes)
                change = f"{statistics.median(changes):+.2f} [{low:+.2f}, {high:+.2f}]"
                print(f"| {group} | {text} | {len(both)} | {first:.2f} | {second:.2f} | {change} |")
    print()


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a median from order statistics (the sign test's); needs six values for 95 %."""
    n, ordered = len(values), sorted(values)
    tail, k = 0.0, 0
    while tail + math.comb(n, k) / 2**n <= (1 - level) / 2:
        tail += math.comb(n, k) / 2**n
        k += 1
    return ordered[max(k - 1, 0)], ordered[min(n - k, n - 1)]


def main() -> None:
    """Run what is missing and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="folder of finished episodes")
    parser.add_argument("--assets", default="auto", help="pack, as nora-bench run --assets")
    parser.add_argument("--reference", default="sapien2")
    parser.add_argument("--backend", default="sapien3")
    parser.add_argument("--keys", type=int, default=60, help="keys per group and controller")
    parser.add_argument("--half", choices=("chosen", "reported", "all"), default="all")
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    controllers = sorted({controller for own in GROUPS.values() for controller in own})
    parser.add_argument("--controllers", nargs="+", choices=controllers, default=controllers)
    parser.add_argument("--outcomes", action="store_true", help="end an episode, without measures, once its success is final")
    parser.add_argument("--any-code", action="store_true", help="take stored episodes whatever code made them")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    if not options.report:
        run_missing(options)
    report(options)


if __name__ == "__main__":
    main()
