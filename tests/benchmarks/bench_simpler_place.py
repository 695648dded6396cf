"""Success of the scripted expert at placing the apple in the drawer, on one backend, over spread scenes.

    python tests/benchmarks/bench_simpler_place.py --backend sapien2 [--scenes 26] [--assets official]

The 54 scenes are the initial states of both settings; appearances, which the physics does not know, are taken in turn. An episode
ends early once the success rule has held for SURE steps. Prints a line per scene, then successes with the exact interval.
"""

from __future__ import annotations

import argparse

from nora_bench.envs import suites
from nora_bench.envs.base import Env, EnvOptions, EpisodeSpec, EvalProtocol
from nora_bench.envs.paths import cache_home
from nora_bench.envs.protocols import get
from nora_bench.policies.base import Observation
from nora_bench.policies.scripted.policy import ScriptedPolicy
from nora_bench.results.statistics.intervals import clopper_pearson

SUITES, TASK, SCENES = ("simpler-vm-place", "simpler-va-place"), 4, 27
STRIDE = 7
"""Between initial states that follow each other: nine apples per robot pose, so pose and apple both change."""
SURE = 11


def specs(protocol: EvalProtocol) -> list[EpisodeSpec]:
    """All scenes, spread."""
    out = []
    for number in range(SCENES):
        for name in SUITES:
            variants = suites.get(name).tasks[0].variants
            init_state = number * STRIDE % SCENES
            out.append(EpisodeSpec(name, TASK, init_state, 0, protocol.name, variants[number % len(variants)]))
    return out


def succeeds(env: Env, spec: EpisodeSpec, protocol: EvalProtocol) -> bool:
    """Whether the expert succeeds at the last step, or for SURE steps on end."""
    policy, held = ScriptedPolicy(), 0
    env.reset(spec, protocol, policy.observation_spec)
    for step in range(protocol.steps(spec.suite, "place_apple_in_closed_top_drawer")):
        action = policy.act_one(Observation(spec, step, step, "", env.observation())).actions[0]
        held = held + 1 if env.step(action, observe=True) else 0
        if held == SURE:
            break
    return held > 0


def main() -> None:
    """Run the scenes and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="sapien2")
    parser.add_argument("--scenes", type=int, default=2 * SCENES)
    parser.add_argument("--assets", default="official")
    options = parser.parse_args()
    suite, protocol = suites.get(SUITES[0]), get("simpler/nora-1.5")
    pack = suite.resolve_assets(options.assets)
    env = suite.make_env(EnvOptions(pack.path, "none", str(cache_home()), options.backend))
    outcomes = []
    for spec in specs(protocol)[: options.scenes]:
        outcomes.append(succeeds(env, spec, protocol))
        print(spec.key, "success" if outcomes[-1] else "failure", flush=True)
    env.close()
    low, high = clopper_pearson(sum(outcomes), len(outcomes))
    print(f"{options.backend}: {sum(outcomes)} of {len(outcomes)}, exact 95 % interval {100 * low:.1f} to {100 * high:.1f} %")


if __name__ == "__main__":
    main()
