#!/usr/bin/env python3
"""Writes a file of JSON: iceprod_write.py NAME TEXT."""

import json
import sys

if __name__ == "__main__":
    name, text = sys.argv[1:]
    with open(name, "w") as stream:
        json.dump(json.loads(text), stream, indent=1)
        stream.write("\n")
