"""The whole chain on this machine without any workflow system: the yardstick. Exit code 0 if every check passes."""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Chain:
    """Runs steps in one folder and keeps what each took."""

    def __init__(self, args):
        self.args = args
        self.folder = Path(args.out)
        self.seconds = {}

    def step(self, name, *words):
        """Run a script; print its summary. Raises `CalledProcessError` if it fails."""
        start = time.monotonic()
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, words)]
        variables = os.environ | ONE_THREAD
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)
        self.seconds.setdefault(name, []).append(time.monotonic() - start)
        own = [line for line in done.stdout.splitlines() if line.startswith((name, "ok", "FAIL", "weak"))]
        print(*own, sep="\n", flush=True)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()

    def job(self, number):
        """Run the five steps of a job; its seed is its number plus that of the first."""
        seed = ("--seed", number + self.args.seed)
        gen, prop, hits, det, l2 = (f"{name}.{number:06d}.npz" for name in ("gen", "prop", "hits", "det", "l2"))
        self.step("generate", *seed, "--nevents", self.args.nevents, "tables.npz", gen)
        self.step("propagate", *seed, "tables.npz", gen, prop)
        self.step("photons", *seed, "--oversize", self.args.oversize, "tables.npz", prop, hits)
        self.step("detector", *seed, hits, det)
        self.step("filter", *seed, prop, det, l2)

    def run(self):
        """Run everything: the tables, the jobs in parallel, the analysis."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step("tables", "tables.npz")
        self.step("reference", "ref.npz")
        jobs = range(self.args.jobs)
        with ThreadPoolExecutor(self.args.procs) as pool:
            list(pool.map(self.job, jobs))
        muons = [f"prop.{job:06d}.npz" for job in jobs]
        events = [f"l2.{job:06d}.npz" for job in jobs]
        self.step("analyze", "tables.npz", "ref.npz", "chain.png", "--muons", *muons, "--events", *events)


def main():
    """Run the chain. Returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("out", help="the folder to write into")
    arguments.add_argument("--jobs", type=int, default=4, help="jobs (default 4)")
    arguments.add_argument("--procs", type=int, default=2, help="jobs at a time (default 2)")
    arguments.add_argument("--nevents", type=int, default=2500, help="showers a job (default 2500)")
    arguments.add_argument("--oversize", type=float, default=7.0, help="see photons.py (default 7)")
    arguments.add_argument("--seed", type=int, default=1, help="seed of the first job (default 1)")
    chain = Chain(arguments.parse_args())
    start = time.monotonic()
    try:
        chain.run()
        code = 0
    except subprocess.CalledProcessError as error:
        print(f"{Path(error.cmd[1]).name} ended with {error.returncode}", file=sys.stderr)
        code = 1
    for name, seconds in chain.seconds.items():
        print(
            f"{name:10s} {len(seconds):3d} times, mean {sum(seconds) / len(seconds):6.1f} s, most {max(seconds):6.1f} s"
        )
    print(f"total {time.monotonic() - start:.1f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
