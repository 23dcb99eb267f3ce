"""What tasks recorded is listed and brought here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nunatak.client.connected import Connected
from nunatak.client.connection import path_of
from nunatak.client.results import OutputFile
from nunatak.client.where import Where, address_of

if TYPE_CHECKING:
    from nunatak.client.download import Fetched


class Outputs(Connected):
    """Verbs of recorded outputs."""

    def files(self, where: Where) -> Iterator[OutputFile]:
        """Yield the recorded outputs of a dataset, job or task."""
        return (OutputFile.of(row) for row in self._to.pages(path_of("files", address_of(where))))

    def get(
        self,
        where: Where,
        to: Path | str,
        *,
        parallel: int = 4,
        progress: Callable[[Fetched], None] | None = None,
    ) -> list[Fetched]:
        """Bring the recorded outputs into the directory `to`, checksums verified; files already right are left alone.

        `progress` is called as each file is there, with its number and the number of all.
        """
        return self.fetch(list(self.files(where)), Path(to), parallel=parallel, progress=progress)

    def fetch(
        self,
        files: Sequence[OutputFile],
        to: Path,
        *,
        parallel: int = 4,
        progress: Callable[[Fetched], None] | None = None,
    ) -> list[Fetched]:
        """Bring some of the recorded outputs, as `get` does."""
        from nunatak.client import download  # late, as what is sent: a status needs neither

        return download.fetch(self._to, files, to, parallel=parallel, progress=progress)
