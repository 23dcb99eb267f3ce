"""The whole demonstration: start Nunatak, run the muon chain on it, bring the results and say how the physics came out.

`make demo` runs it. It uses the commands a user would type and shows them. Everything is kept below demo-out/.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path(os.environ.get("DEMO_OUT", HERE.parents[1] / "demo-out")).resolve()
DATA = OUT / "nunatak"
RESULTS = OUT / "results"
NUNATAK = str(Path(sys.executable).with_name("nunatak"))


def shown(*words: str) -> str:
    """Print a command as a user would type it and return it ready to run."""
    print("\n$ nunatak " + " ".join(words), flush=True)
    return NUNATAK


def start() -> subprocess.Popen:
    """Start a Nunatak of our own and return when it is ready."""
    words = ["up", "--data", str(DATA), "--port", "0"]
    up = [shown(*words), *words]
    with (OUT / "up.log").open("w") as log:
        process = subprocess.Popen(up, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if "nunatak is up" in (OUT / "up.log").read_text():
            return process
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"Nunatak did not start:\n{(OUT / 'up.log').read_text()}")


def run(*words: str, quiet: bool = False) -> subprocess.CompletedProcess:
    """Run one command; its talk goes to the terminal."""
    command = NUNATAK if quiet else shown(*words)
    return subprocess.run([command, *words], stdout=subprocess.PIPE if quiet else None, text=True, check=False)


def main() -> int:
    """Return 0 only if every task is done and every check of the physics passed."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    began = time.monotonic()
    process = start()
    os.environ["NUNATAK_DATA"] = str(DATA)
    try:
        few = ["--set", "cores=1"] if os.cpu_count() == 1 else []  # the recipe makes its tables on two
        watched = run("submit", str(HERE / "muons.yaml"), *few, "--watch")
        state = json.loads(run("status", "1", "--json", quiet=True).stdout or "{}")
        if watched.returncode or state.get("state") != "done":
            run("errors", "1")
            print(f"\nThe dataset is {state.get('state')}; see {OUT}/up.log", flush=True)
            return 1
        run("status", "1")
        if run("get", "1", "--to", str(RESULTS)).returncode:
            return 1
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    return report(state, time.monotonic() - began)


def report(state: dict, seconds: float) -> int:
    """Print the checks of the physics and where things are."""
    checks = json.loads(next(RESULTS.rglob("chain.checks.json")).read_text())
    words = {True: "ok  ", False: "FAIL", None: "weak"}
    print("\nThe physics:")
    for check in checks["checks"]:
        against = f"  published {check['published']:.4g}" if check["published"] else ""
        print(f"  {words[check['ok']]} {check['name']}: {check['value']:.4g}{against}")
    done = state["tasks"]["done"] == state["tasks"]["total"]
    passed = sum(check["ok"] is True for check in checks["checks"])
    print(f"\n{state['tasks']['done']} of {state['tasks']['total']} tasks done in {seconds:.0f} s", end="; ")
    print(f"{passed} of {len(checks['checks'])} checks passed")
    print(f"plot      {next(RESULTS.rglob('chain.png'))}")
    print(f"results   {RESULTS}")
    print(f"look      nunatak up --data {DATA}   then: nunatak status 1, nunatak history 1/0, nunatak logs 1/analyze")
    print("learn     docs/tutorials/first-dataset.md, and examples/muons/muons.yaml to copy")
    return 0 if done and passed == len(checks["checks"]) else 1


if __name__ == "__main__":
    sys.exit(main())
