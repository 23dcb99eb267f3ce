"""What a person does to datasets, jobs and tasks."""

from __future__ import annotations

from collections.abc import Sequence

from nunatak.client.connected import Connected
from nunatak.client.connection import API, fresh_key
from nunatak.client.where import Where, address_of


class Acting(Connected):
    """Verbs that change what is done."""

    def hold(self, *where: Where, reason: str = "") -> int:
        """Stop datasets, jobs or tasks, running ones too, until released; return how many tasks changed."""
        return self._act("hold", where, reason)

    def release(self, *where: Where, reason: str = "") -> int:
        """Let what was held go on; return how many tasks changed."""
        return self._act("release", where, reason)

    def retry(self, *where: Where, reason: str = "", signature: str = "") -> int:
        """Try failed tasks again, or those of datasets alone that failed like one group of `errors`; return how many."""
        return self._act("retry", where, reason, signature)

    def cancel(self, *where: Where, reason: str = "") -> int:
        """End datasets, jobs or tasks for good; return how many tasks changed."""
        return self._act("cancel", where, reason)

    def close(self, *where: Where, reason: str = "") -> int:
        """Let datasets get no new jobs; return how many changed."""
        return self._act("close", where, reason)

    def _act(self, verb: str, where: Sequence[Where], reason: str, signature: str = "") -> int:
        body = {"verb": verb, "addresses": [str(address_of(item)) for item in where]}
        body |= {name: text for name, text in (("reason", reason), ("signature", signature)) if text}
        return int(self._to.post(f"{API}/actions", body, key=fresh_key())["changed"])
