#!/usr/bin/env python3
"""Stands for every tool that copies files of other schemes: what is at SCHEME://HOST/PATH is below ~/remote here."""

import os
import shutil
import sys

sys.path.insert(0, os.environ["HOME"])
import record


def local(word):
    """Return the path that a word stands for."""
    if word.startswith("file://"):
        return word[7:]
    scheme, separator, rest = word.partition("://")
    return os.path.join(os.environ["HOME"], "remote", scheme, rest.lstrip("/")) if separator else word


source, target = sys.argv[-2:]
remote = [word for word in (source, target) if "://" in word and not word.startswith("file://")]
record.note([os.path.basename(sys.argv[0]), *remote])
os.makedirs(os.path.dirname(os.path.abspath(local(target))), exist_ok=True)
shutil.copyfile(local(source), local(target))
