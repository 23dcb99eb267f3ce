"""A class of IceProd's first version."""

import os
import sys

sys.path.insert(0, os.environ["HOME"])
import record


class Generate:
    """Notes what is done with it."""

    def __init__(self):
        self.done = []

    def SetParameter(self, name, value):  # noqa: N802
        """Keep a parameter."""
        self.done.append(["SetParameter", name, value])

    def Execute(self, stats):  # noqa: N802
        """Say what was done."""
        assert stats == {}
        record.note(["fakev1.Generate", *self.done, ["Execute"]])
