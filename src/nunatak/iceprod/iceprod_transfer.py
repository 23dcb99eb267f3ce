#!/usr/bin/env python3
"""Moves one file with whichever tool for its scheme this machine has: iceprod_transfer.py get|put [--maybe] URL NAME."""

import os
import shutil
import subprocess
import sys

GFAL = ["gfal-copy", "-f", "-p"]
TOOLS = {
    "gsiftp": (GFAL, ["globus-url-copy", "-cd", "-rst"]),
    "osdf": (["pelican", "object", "copy"], ["osdf", "object", "copy"], ["stashcp"]),
    "pelican": (["pelican", "object", "copy"], ["osdf", "object", "copy"]),
    "stash": (["pelican", "object", "copy"], ["stashcp"]),
    "s3": (["aws", "s3", "cp"], ["s3cmd", "--force"], GFAL),
    "root": (["xrdcp", "-f", "-p"], GFAL),
    "davs": (GFAL,),
    "http": (GFAL,),
    "https": (GFAL,),
    "srm": (GFAL,),
}
NEEDS_URL = ("gfal-copy", "globus-url-copy")


def main(argv):  # type: (list[str]) -> int
    """Move the file; the exit code is the tool's, 69 (EX_UNAVAILABLE) if there is none, 64 for a wrong call."""
    maybe = "--maybe" in argv
    words = [word for word in argv if word != "--maybe"]
    if len(words) != 3 or words[0] not in ("get", "put"):
        sys.stderr.write(__doc__ + "\n")
        return 64
    verb, url, name = words
    if verb == "put" and maybe and not os.path.exists(name):
        sys.stdout.write(name + " is not there and need not be\n")
        return 0
    scheme = url.split("://", 1)[0].lower()
    for tool in TOOLS.get(scheme, ()):
        if shutil.which(tool[0]):
            code = subprocess.call(command(tool, verb, url, name, scheme))
            if code and verb == "get" and maybe:
                sys.stdout.write(url + " could not be had and need not be\n")
                return 0
            return code
    sys.stderr.write(
        "no tool for %s:// on this machine: looked for %s\n"
        % (scheme, ", ".join(tool[0] for tool in TOOLS.get(scheme, ())) or "nothing")
    )
    return 69


def command(tool, verb, url, name, scheme):  # type: (list[str], str, str, str, str) -> list[str]
    """Return the argument list of a tool."""
    local = "file://" + os.path.abspath(name) if tool[0] in NEEDS_URL else name
    words = list(tool)
    if tool[0] == "s3cmd":
        words.append(verb)
    if tool[0] == "stashcp" and scheme in ("osdf", "stash"):
        url = "/" + url.split("://", 1)[1].lstrip("/")
    return words + ([url, local] if verb == "get" else [local, url])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
