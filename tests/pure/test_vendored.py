"""Files of others are what their lists say, and each has its licence beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = [ROOT / "src/nunatak/web/static/vendor", ROOT / "tests/services/vendor"]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.parts[-3])
def test_every_vendored_file_is_listed_with_its_checksum_and_licence(place: Path) -> None:
    lines = re.findall(r"\| `([^`]+)` \| .* \(`([^`]+)`\) \| `([0-9a-f]{64})` \|", (place / "README.md").read_text())
    listed = {name: (licence, digest) for name, licence, digest in lines}
    assert listed.keys() == {file.name for file in place.iterdir() if ".min." in file.name}
    for name, (licence, digest) in listed.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
        assert (place / licence).is_file()
