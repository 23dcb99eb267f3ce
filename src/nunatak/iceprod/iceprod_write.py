#!/usr/bin/env python3
"""Writes a file of JSON: iceprod_write.py NAME TEXT."""

import json
import os
import sys

if __name__ == "__main__":
    name, text = sys.argv[1:]
    if os.path.dirname(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name + ".new", "w") as stream:
        json.dump(json.loads(text), stream, indent=1)
        stream.write("\n")
    os.rename(name + ".new", name)  # what is there may be shared, and not to be written into
