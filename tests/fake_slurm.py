"""A fake Slurm: `sbatch` of a script whose `srun` starts the tasks of every node as processes of this machine.

`Slurm(folder).submit(script, *words)` reads the `#SBATCH` lines and runs the script with the variables that Slurm sets for a job;
`srun` and `scontrol` stand in a folder on its PATH. Nodes are 127.0.0.1, 127.0.0.2, ..., listed as Slurm does: `127.0.0.[1-2]`.
Options and variables: https://slurm.schedmd.com/sbatch.html, https://slurm.schedmd.com/srun.html.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SUBMISSION = {"--nodes": int, "--ntasks-per-node": int, "--cpus-per-task": int, "--gpus-per-node": int}
SUBMISSION |= dict.fromkeys(("--time", "--open-mode", "--signal"), str)
STEP = {"--ntasks": int, "--ntasks-per-node": int, "--cpus-per-task": int, "--kill-on-bad-exit": int}


def parser(options: Mapping[str, type], *flags: str) -> argparse.ArgumentParser:
    """Options of a Slurm command; others end the program, as in Slurm."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option, kind in options.items():
        parser.add_argument(option, type=kind)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


@dataclass
class Slurm:
    """A cluster; its jobs end with the `with` block."""

    folder: Path
    jobs: list[Job] = field(default_factory=list)

    def __enter__(self) -> Slurm:
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        for name in ("srun", "scontrol"):
            (programs / name).write_text(f"#!{sys.executable}\nimport runpy\nrunpy.run_path({__file__!r}, run_name={name!r})\n")
            (programs / name).chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.jobs:
            job.kill()

    def submit(self, script: Path, *words: object, options: Sequence[str] = (), **variables: str) -> Job:
        """Start a job. `options` are those of `sbatch`, before the script; `words` follow the script."""
        own = [word for line in re.findall(r"^#SBATCH (.*)", script.read_text(), re.MULTILINE) for word in line.split()]
        given = parser(SUBMISSION, "--requeue").parse_args([*own, *options])
        number = free_port() - 20000  # the scripts choose their port by the job's number
        job = Job(self.folder, number, ["bash", str(script), *map(str, words)], {**job_variables(given, number), **variables})
        self.jobs.append(job)
        job.start()
        return job


def free_port() -> int:
    """A free port of those that the scripts use."""
    for port in random.sample(range(20000, 30000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def job_variables(given: argparse.Namespace, number: int) -> dict[str, str]:
    """Environment of a batch script."""
    tasks = given.ntasks_per_node or 1
    variables = {
        "SLURM_JOB_ID": number,
        "SLURM_JOB_NUM_NODES": given.nodes,
        "SLURM_NNODES": given.nodes,
        "SLURM_JOB_NODELIST": "127.0.0.1" if given.nodes == 1 else f"127.0.0.[1-{given.nodes}]",
        "SLURM_NTASKS": given.nodes * tasks,
        "SLURM_NTASKS_PER_NODE": tasks,
        "SLURM_CPUS_PER_TASK": given.cpus_per_task,
        **task_variables(0, 0, 0),
    }
    variables |= {"SLURM_GPUS_ON_NODE": given.gpus_per_node} if given.gpus_per_node else {}
    return {name: str(value) for name, value in variables.items()}


def task_variables(rank: int, node: int, local: int) -> dict[str, str]:
    """Environment of one task."""
    return {"SLURM_PROCID": str(rank), "SLURM_NODEID": str(node), "SLURM_LOCALID": str(local)}


@dataclass
class Job:
    """A job, with its output in `output`."""

    folder: Path
    number: int
    command: Sequence[str]
    variables: Mapping[str, str]
    restarts: int = 0

    def __post_init__(self) -> None:
        self.output, self.requeued = self.folder / f"slurm-{self.number}.out", self.folder / f"requeued-{self.number}"

    def start(self) -> None:
        """Start the script, its output appended."""
        own = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "FAKE_SLURM": str(self.requeued)}
        own |= {"SLURM_RESTART_COUNT": str(self.restarts)} if self.restarts else {}
        environment = {**os.environ, **self.variables, **own}
        with self.output.open("a") as output:
            self.script = subprocess.Popen(self.command, env=environment, stdout=output, stderr=subprocess.STDOUT)

    def wait(self, seconds: float = 300) -> int:
        """Exit code of the script; what it left running ends with the job."""
        code = self.script.wait(seconds)
        self.kill()
        return code

    def wait_for(self, condition: Callable[[], object], seconds: float = 300) -> None:
        """Wait while the script runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end and self.script.poll() is None, self.output.read_text()[-3000:]
            time.sleep(0.1)

    def succeeds(self) -> bool:
        """Whether the script ends well; prints its output otherwise."""
        if code := self.wait():
            print(self.output.read_text()[-3000:])
        return code == 0

    def reach_time_limit(self) -> None:
        """Signal the script as `--signal=B:USR1` asks, end the job, and start it again; the script must have requeued it."""
        self.script.send_signal(signal.SIGUSR1)
        self.script.wait(60)
        assert self.requeued.exists(), self.output.read_text()[-3000:]
        self.kill()
        self.requeued.unlink()
        self.restarts += 1
        self.start()

    def kill(self) -> None:
        """End every process of the job at once, as Slurm does by control groups."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("FAKE_SLURM") == str(self.requeued):
                    process.kill()
        self.script.wait(60)


def srun(words: Sequence[str]) -> int:
    """Run the command as every task of a step; the first bad exit code, which ends the others."""
    given = parser(STEP).parse_args(words)
    per_node = given.ntasks_per_node or int(os.environ["SLURM_NTASKS_PER_NODE"])
    tasks = given.ntasks or int(os.environ["SLURM_NTASKS"])
    places = [task_variables(rank, *divmod(rank, per_node)) for rank in range(tasks)]
    running = [subprocess.Popen(given.command, env={**os.environ, **place}) for place in places]
    codes: list[int] = []
    while running:
        ended = [task for task in running if task.poll() is not None]
        running = [task for task in running if task not in ended]
        codes += [task.returncode for task in ended]
        if given.kill_on_bad_exit and any(codes):
            for task in running:
                task.terminate()
        time.sleep(0.05)
    return max(codes, key=abs)


def scontrol(words: Sequence[str]) -> int:
    """`show hostnames LIST` and `requeue JOB`."""
    if words[0] == "requeue":
        assert words[1] == os.environ["SLURM_JOB_ID"]
        Path(os.environ["FAKE_SLURM"]).touch()
        return 0
    assert words[:2] == ["show", "hostnames"]
    parts = re.findall(r"[^,\[]+(?:\[[^\]]*\])?", words[2])
    print("\n".join(name for part in parts for name in hostnames(part)))
    return 0


def hostnames(part: str) -> list[str]:
    """Names in one part of a node list: `node[01-02,7]` is node01, node02, node7."""
    name, _, ranges = part.rstrip("]").partition("[")
    if not ranges:
        return [name]
    ends = [(piece.split("-")[0], piece.split("-")[-1]) for piece in ranges.split(",")]
    return [f"{name}{number:0{len(first)}}" for first, last in ends for number in range(int(first), int(last) + 1)]


if __name__ in ("srun", "scontrol"):
    sys.exit({"srun": srun, "scontrol": scontrol}[__name__](sys.argv[1:]))
