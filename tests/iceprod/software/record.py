#!/usr/bin/env python3
"""Stands for any program of a configuration: notes how it was called, and makes the files that follow --out."""

import json
import os
import sys
import time

NOTED = ("SROOT", "PYTHONNOUSERSITE", "SECRET_ON_SERVER", "GPU_DEVICE_ORDINAL", "OPENCL_VENDOR_PATH")


def note(argv, **more):
    """Append a line to what this attempt called."""
    name = os.environ["NUNATAK_ADDRESS"].replace("/", "_")
    variables = {key: os.environ.get(key) for key in NOTED}
    entry = {"argv": argv, "at": time.monotonic(), "variables": variables, **more}
    with open(os.path.join(os.environ["HOME"], "calls", name), "a") as stream:
        stream.write(json.dumps(entry) + "\n")


def values(words, flag):
    """Return the words that follow a flag, up to the next; or what is given after its `=`."""
    found, on = [], False
    for word in words:
        if word.startswith("-"):
            on = word == flag
            if word.startswith((flag + "=", flag + "file=")):
                found.append(word.partition("=")[2])
        elif on:
            found.append(word)
    return found


def main():
    """Do what the words say."""
    words = sys.argv[1:]
    shown = {name: json.load(open(name)) for name in values(words, "--show")}
    note([os.path.basename(sys.argv[0]), *words], shown=shown)
    read = [word for word in words if os.path.isfile(word)]
    for name in values(words, "--out"):
        with open(name, "w") as stream:
            stream.write("made from {}\n".format(" ".join(read)))
    for name in values(words, "--append"):
        with open(name) as stream:
            text = stream.read()
        os.unlink(name)
        with open(name, "w") as stream:
            stream.write(text + "more\n")


if __name__ == "__main__":
    main()
