"""What `nunatak up`, `migrate` and `doctor` stand on."""

from __future__ import annotations

import stat
from pathlib import Path

from nunatak import assembly
from nunatak.accounts import tokens
from nunatak.api.services import Services
from nunatak.core.settings import Settings
from tests.edge.conftest import Api


def test_the_local_token_is_kept_for_its_owner_alone_and_made_anew_when_it_does_not_open(
    services: Services, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    text = assembly.local_token(services, path, "me")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert services.tokens.verify(tokens.digest_of(text)).name == "me"
    assert assembly.local_token(services, path, "me") == text
    services.database.run(lambda tx: tokens.revoke(tx, 1, services.clock()))
    services.tokens.forget()
    other = assembly.local_token(services, path, "me")
    assert other != text
    assert path.read_text() == other + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_database_is_migrated_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert assembly.migrate(settings).startswith("applied")
    assert assembly.migrate(settings).startswith("nothing to do")


def test_the_doctor_finds_and_repairs_wrong_counts(api: Api, tmp_path: Path) -> None:
    api.submit()
    settings = Settings(data=tmp_path)
    assert assembly.doctor(settings, repair=False).sound
    with api.services.database.write() as tx:
        tx.exec_driver_sql("UPDATE task_counts SET ready = ready + 1")
    assert not assembly.doctor(settings, repair=False).sound
    assert assembly.doctor(settings, repair=True).repaired
    assert assembly.doctor(settings, repair=False).sound
