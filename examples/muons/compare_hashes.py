"""Two runs of the chain: the same numbers? If not, the same physics? Exit code 1 on any difference.

Files are paired by name and job; their content counts, not their bytes or the folder they lie in. On another kind of
machine the last bits may differ: then the Kolmogorov-Smirnov p-value of the worst array says whether it matters.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp

from arrays import content_hash, file_hash, load


def gather(places):
    """Return name -> path of all outputs in these files and folders (and folders in them). Exits if a name is twice."""
    found = {}
    for place in map(Path, places):
        if not place.exists():
            sys.exit(f"{place}: there is no such file or folder")
        paths = [place] if place.is_file() else sorted(place.rglob("*"))
        for path in paths:
            if path.suffix not in (".npz", ".png", ".json") or path.name.endswith((".prov.json", ".part.npz")):
                continue
            name = numbered(path)
            if name in found:
                sys.exit(f"{name} is twice: {found[name]} and {path}; give one run a side")
            found[name] = path
    return found


def numbered(path):
    """Return the name of an output with its job: `000017/gen.npz`, as Nunatak keeps it, is `gen.000017.npz`.

    `nunatak get` brings it as `17/generate/gen.npz`, which has the same name here.
    """
    for job in (path.parent.name, path.parent.parent.name):
        if re.fullmatch(r"\d{1,6}", job):
            return f"{path.stem}.{int(job):06d}{path.suffix}"
    return path.name


def fingerprint(path):
    """Return a hash of what a file says."""
    if path.suffix == ".npz":
        return content_hash(load(path))
    if path.suffix == ".json":
        return content_hash({"json": np.array(json.dumps(json.loads(path.read_text()), sort_keys=True))})
    return file_hash(path)


def difference(first, second):
    """Return in words how far apart two files are."""
    if first.suffix != ".npz":
        return "differs"
    one, other = load(first), load(second)
    if set(one) != set(other):
        return f"other arrays: {', '.join(sorted(set(one) ^ set(other)))}"
    worst = 1.0
    for name in one:
        if one[name].dtype.kind == "f" and one[name].size and other[name].size:
            worst = min(worst, ks_2samp(one[name].ravel(), other[name].ravel(), method="asymp").pvalue)
    return f"differs; smallest KS p-value {worst:.3g}: {'same physics' if worst > 1e-3 else 'OTHER PHYSICS'}"


def compare(first, second):
    """Return a row (name, hash, what is wrong or nothing) for each file of either side."""
    for name in sorted(set(first) | set(second)):
        if name not in first or name not in second:
            yield name, "", f"only in the {'first' if name in first else 'second'}"
            continue
        digest = fingerprint(first[name])
        same = digest == fingerprint(second[name])
        yield name, digest, "" if same else difference(first[name], second[name])


def main():
    """Print the table. Returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("first", help="the output folder of run_chain.py")
    arguments.add_argument("second", nargs="+", help="files or folders of the other run, such as `nunatak get` wrote")
    args = arguments.parse_args()
    rows = list(compare(gather([args.first]), gather(args.second)))
    for name, digest, wrong in rows:
        print(f"{name:20s} {digest[:16]:16s} {wrong or 'same'}")
    different = sum(bool(wrong) for _, _, wrong in rows)
    print(f"{len(rows)} files compared, {different} different")
    return 1 if different or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
