"""Removes directories that a payload has filled, with whatever modes it left."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List


def clear(path: str) -> None:
    """Remove a directory and all below it, following no link; what cannot be removed stays. Nothing there is fine."""
    stack, seen = [path], []
    while stack:
        directory = stack.pop()
        if os.path.islink(directory) or not os.path.isdir(directory):
            continue
        seen.append(directory)
        stack.extend(_empty(directory))
    for directory in reversed(seen):
        try:
            os.rmdir(directory)
        except OSError:
            continue


def _empty(directory: str) -> "List[str]":
    """Remove the files of a directory; return the directories in it."""
    below = []
    try:
        if os.stat(directory).st_mode & 0o700 != 0o700:
            os.chmod(directory, 0o700)
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            else:
                os.unlink(entry.path)
    except OSError:
        pass
    return below
