"""A campaign of faults against this checkout.

python -m tests.faults --count 1000 --seed 0 --report report.md
python -m tests.faults --case 'toy/worker killed (kill -9)/stepping/17'
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # processes are forked, which threads do not survive

from faults.campaign import SCENARIOS, report, run, sample, sample_each
from faults.kinds import Case


def main() -> int:
    """Inject the faults, print the violations and the table; 1 where there are any."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="faults to sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenario", choices=[*SCENARIOS], default="toy", help="LIBERO: real simulations, some seconds each")
    parser.add_argument("--only", default="", help="only faults whose name holds this text")
    parser.add_argument("--each", action="store_true", help="every fault once, instead of --count")
    parser.add_argument("--case", action="append", default=[], help="this fault; can be given again")
    parser.add_argument("--jobs", type=int, default=1, help="faults at once")
    parser.add_argument("--folder", type=Path, help="scratch folder; what broke stays in it")
    parser.add_argument("--report", type=Path, help="file for the table")
    args = parser.parse_args()
    cases = sample_each(args.seed) if args.each else sample(args.count, args.seed, SCENARIOS[args.scenario], args.only)
    cases = [*map(Case.read, args.case)] or cases
    folder = (args.folder or Path(tempfile.mkdtemp(prefix="faults-"))).resolve()
    verdicts = []
    for verdict in run(cases, folder, args.jobs):
        verdicts.append(verdict)
        print(f"{verdict.outcome}: {verdict.case} {verdict.broken}", flush=True)
        if len(verdicts) % 50 == 0:
            print(f"{len(verdicts)} faults, {sum(bool(one.broken) for one in verdicts)} broken", flush=True)
    text = "\n".join(report(verdicts))
    (args.report.write_text(text + "\n") if args.report else print(text))
    broken = sum(bool(one.broken) for one in verdicts)
    print(f"{len(verdicts)} faults, {broken} broken promises, {sum(one.seconds for one in verdicts):.0f} s")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
