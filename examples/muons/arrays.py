"""Reading and writing the .npz files of the chain: whole or not at all, with a content hash and a provenance record."""

import argparse
import hashlib
import json
import os
import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

STARTED = time.time()
PACKAGES = ("numpy", "scipy", "numba", "chromo", "simweights", "mulder", "MCEq", "nuflux")


def parser(description, *inputs):
    """Return the parser that every step shares: `[--seed S] INPUT... OUTPUT`."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--seed", type=int, default=1, help="the same seed gives the same numbers (default 1)")
    for name in inputs:
        result.add_argument(name, help=f"the {name} file to read (.npz)")
    result.add_argument("output", help="the file to write (.npz)")
    return result


def load(path):
    """Return the arrays of a file as a dictionary."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def content_hash(arrays):
    """Return the SHA-256 of names, types, shapes and values: equal for two runs that computed the same numbers."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save(args, summary, **arrays):
    """Write the arrays to `args.output` and what made them to `OUTPUT.prov.json`; print a line."""
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{output}.part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(output)  # a killed job never leaves half an output
    record = provenance(args, summary, content_hash(arrays))
    Path(f"{output}.prov.json").write_text(json.dumps(record, indent=1))
    print(
        f"{record['step']}: {json.dumps(summary)} -> {output} ({record['bytes'] / 1e3:.0f} kB) "
        f"wall {record['wall_s']} s cpu {record['cpu_s']} s memory {record['max_rss_mb']} MB",
        flush=True,
    )


def provenance(args, summary, digest):
    """Return what made an output: command, inputs, versions, machine and cost."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    inputs = [
        value
        for name, value in vars(args).items()
        if name != "output" and isinstance(value, str) and Path(value).is_file()
    ]
    return {
        "step": Path(sys.argv[0]).name,
        "argv": sys.argv[1:],
        "seed": args.seed,
        "inputs": {name: file_hash(name) for name in inputs},
        "output": args.output,
        "content_sha256": digest,
        "file_sha256": file_hash(args.output),
        "bytes": Path(args.output).stat().st_size,
        "stats": summary,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "host": platform.node(),
        "versions": versions(),
        "env": {name: value for name, value in os.environ.items() if name.startswith("NPY_")},
        "wall_s": round(time.time() - STARTED, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime + helpers.ru_utime + helpers.ru_stime, 2),
        "max_rss_mb": used.ru_maxrss // 1024,
    }


def file_hash(path):
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def versions():
    """Return the versions of the physics packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
