"""The environment of a payload: a clean one, from a list of what may pass and from what the task says."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Mapping, Optional

    from .spec import Task

PASSED = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"),
    *("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "COMPUTE", "OPENCL_VENDOR_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("_CONDOR_SCRATCH_DIR", "_CONDOR_CREDS", "BEARER_TOKEN_FILE", "X509_USER_PROXY", "X509_CERT_DIR"),
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
}
"""The variables a payload gets from the worker's own surroundings, beside those that begin with LC_."""

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
"""The variables set to the number of cores asked for."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def passed(surroundings: "Mapping[str, str]") -> "Dict[str, str]":
    """Return what may pass."""
    kept = {key: value for key, value in surroundings.items() if key in PASSED or key.startswith("LC_")}
    kept.setdefault("PATH", _PATH)
    return kept


def environment(task: "Task", surroundings: "Mapping[str, str]", tmp: str, spare: str) -> "Dict[str, str]":
    """Return the environment of all commands; `tmp` for TMPDIR, `spare` a directory for a `python` if there is none."""
    env = passed(surroundings)
    env["TMPDIR"] = tmp
    for name in THREADS:
        env[name] = str(task.shape.cpu)
    env.update(task.environment.variables)
    env.update(told(task))
    if find("python", env["PATH"]) is None and sys.executable:
        _provide_python(spare)
        env["PATH"] += os.pathsep + spare
    return env


def told(task: "Task") -> "Dict[str, str]":
    """Return what a payload may know of itself; NUNATAK_JOB is "" for a task done once a dataset."""
    parts = task.address.partition("#")[0].split("/")
    return {
        "NUNATAK_ADDRESS": task.address,
        "NUNATAK_DATASET": parts[0],
        "NUNATAK_JOB": parts[1] if len(parts) == 3 else "",
        "NUNATAK_TASK": parts[-1],
        "NUNATAK_CPU": str(task.shape.cpu),
        "NUNATAK_MEMORY": str(task.shape.memory),
    }


def find(name: str, search: str, cwd: str = "/") -> "Optional[str]":
    """Return the path of a program on `search`, or None."""
    for directory in search.split(os.pathsep):
        path = os.path.join(cwd, directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _provide_python(directory: str) -> None:
    """Offer the worker's own interpreter as `python`; a link would lose a virtual environment, so a script."""
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "python")
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\nexec '{}' \"$@\"\n".format(sys.executable.replace("'", "'\\''")))
    os.chmod(path, 0o755)  # noqa: S103 - a program
