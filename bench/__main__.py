"""`python -m bench [NAME ...]`: measure the budgets, one JSON line each; all of them without names."""

import importlib
import sys

ALL = (
    "starting",
    "expand",
    "verdicts",
    "learning",
    "sharing",
    "health",
    "worker",
    "local",
    "htcondor",
    "reading",
    "pages",
    "watching",
    "lives",
    "sustained",
    "beats",
    "campaign",
    "scale",
    "doctor",
    "simulate",
    "iceprod",
)

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        importlib.import_module(f"bench.{name}").main()
