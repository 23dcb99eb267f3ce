"""Fit a straight line to the points of a file (columns x, y): python fit.py data/run-01.csv fit.json"""

import csv
import json
import statistics
import sys
from pathlib import Path

source, target = map(Path, sys.argv[1:])
with source.open(newline="") as file:
    points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
slope, intercept = statistics.linear_regression(*zip(*points, strict=True))
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps({"points": len(points), "slope": slope, "intercept": intercept}) + "\n")
print(f"{source}: y = {slope:.3f} x + {intercept:.3f}")
