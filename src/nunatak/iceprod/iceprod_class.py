#!/usr/bin/env python3
"""Calls a class of IceProd's first version: iceprod_class.py package.module.Class NAME=TEXT NAME:=JSON ..."""

import importlib
import json
import sys


def main(argv):  # type: (list[str]) -> None
    """Set each parameter, then execute."""
    module, _, name = argv[0].rpartition(".")
    module = getattr(importlib.import_module(module), name)()
    for word in argv[1:]:
        key, _, value = word.partition("=")
        if key.endswith(":"):
            module.SetParameter(key[:-1], json.loads(value))
        else:
            module.SetParameter(key, value)
    module.Execute({})


if __name__ == "__main__":
    main(sys.argv[1:])
