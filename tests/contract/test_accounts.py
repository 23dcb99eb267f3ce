"""Tokens and kept answers on both databases."""

from __future__ import annotations

import threading

import pytest

from nunatak.accounts import policy, repeats, tokens
from nunatak.accounts.policy import Principal
from nunatak.accounts.repeats import Answer
from nunatak.accounts.tokens import Verifier, digest_of
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Conflict, Invalid, NotFound, Refused
from nunatak.db.database import Database


def issue(
    database: Database, clock: ManualClock, days: float | None = 1.0, scopes: tuple[str, ...] = ("read",)
) -> tuple[int, str]:
    text = tokens.new_text()
    number = database.run(
        lambda tx: tokens.issue(tx, text=text, name="t", principal="alice", scopes=scopes, days=days, now=clock())
    )
    return number, text


def test_a_token_speaks_for_its_principal(database: Database, clock: ManualClock) -> None:
    number, text = issue(database, clock, scopes=("submit", "read", "read"))
    found = Verifier(database, clock).verify(digest_of(text))
    assert (found.name, found.scopes, found.token) == ("alice", {"read", "submit"}, number)
    assert text not in str(database.run(lambda tx: tx.exec_driver_sql("SELECT * FROM tokens").fetchall()))


def test_unknown_revoked_and_expired_tokens_are_refused(database: Database, clock: ManualClock) -> None:
    verifier = Verifier(database, clock)
    number, text = issue(database, clock)
    with pytest.raises(Refused) as unknown:
        verifier.verify(digest_of(tokens.new_text()))
    assert unknown.value.code == "bad-token"
    clock.advance(86_400)
    with pytest.raises(Refused) as expired:
        verifier.verify(digest_of(text))
    assert expired.value.code == "expired-token"
    number, text = issue(database, clock, days=None)
    verifier.verify(digest_of(text))
    database.run(lambda tx: tokens.revoke(tx, number, clock()))
    verifier.forget()
    with pytest.raises(Refused) as revoked:
        verifier.verify(digest_of(text))
    assert revoked.value.code == "revoked-token"


def test_what_was_verified_is_believed_for_half_a_minute_in_another_process(
    database: Database, clock: ManualClock
) -> None:
    other = Verifier(database, clock)
    number, text = issue(database, clock)
    other.verify(digest_of(text))
    database.run(lambda tx: tokens.revoke(tx, number, clock()))
    clock.advance(29)
    assert other.verify(digest_of(text)).name == "alice"
    clock.advance(1)
    with pytest.raises(Refused):
        other.verify(digest_of(text))


def test_a_cached_token_expires_in_time_and_a_clock_set_back_is_no_harm(database: Database, clock: ManualClock) -> None:
    verifier = Verifier(database, clock)
    _, text = issue(database, clock, days=10 / 86_400)
    verifier.verify(digest_of(text))
    clock.advance(10)
    assert verifier.known(digest_of(text)) is None
    clock.advance(-3600)
    assert verifier.known(digest_of(text)) is None
    assert verifier.verify(digest_of(text)).name == "alice"


def test_the_last_use_is_noted_at_most_once_a_minute(database: Database, clock: ManualClock) -> None:
    verifier = Verifier(database, clock)
    number, text = issue(database, clock)
    first = clock()
    used = []
    for _ in range(4):
        verifier.forget()
        verifier.verify(digest_of(text))
        with database.read() as tx:
            used.append(tokens.get(tx, number).used)
        clock.advance(25)
    assert used == [first, first, first, first + 75]


def test_tokens_are_listed_by_number(database: Database, clock: ManualClock) -> None:
    numbers = [issue(database, clock)[0] for _ in range(3)]
    with database.read() as tx:
        assert [token.token for token in tokens.listed(tx, None, 0, 2)] == numbers[:2]
        assert [token.token for token in tokens.listed(tx, "alice", numbers[1], 9)] == numbers[2:]
        assert tokens.listed(tx, "bob", 0, 9) == []


@pytest.mark.parametrize(("scopes", "days"), [((), 1.0), (("root",), 1.0), (("read",), 0.0), (("read",), 1e9)])
def test_tokens_that_cannot_be_are_not_made(
    database: Database, clock: ManualClock, scopes: tuple[str, ...], days: float
) -> None:
    with pytest.raises(Invalid):
        issue(database, clock, days, scopes)


def test_a_token_that_is_not_there_cannot_be_revoked(database: Database, clock: ManualClock) -> None:
    with pytest.raises(NotFound):
        database.run(lambda tx: tokens.revoke(tx, 7, clock()))


def test_a_derived_token_needs_both_the_parent_and_the_salt() -> None:
    made = tokens.derived_text("nun_parent", "salt")
    assert made == tokens.derived_text("nun_parent", "salt")
    assert len({made, tokens.derived_text("nun_other", "salt"), tokens.derived_text("nun_parent", "pepper")}) == 3
    assert len(made) == len(tokens.new_text())


def test_a_key_does_its_work_once(database: Database, clock: ManualClock) -> None:
    done = []

    def ask(request: str = "r", who: str = "alice") -> tuple[Answer, bool]:
        def work(_: object) -> Answer:
            done.append(1)
            return Answer(201, f'{{"n": {len(done)}}}')

        return database.run(lambda tx: repeats.once(tx, who, "key", request, clock(), work))

    assert ask() == (Answer(201, '{"n": 1}'), False)
    assert ask() == (Answer(201, '{"n": 1}'), True)
    assert ask(who="bob") == (Answer(201, '{"n": 2}'), False)
    with pytest.raises(Conflict):
        ask("other")
    clock.advance(repeats.KEPT_SECONDS + 1)
    assert ask("other") == (Answer(201, '{"n": 3}'), False)


def test_of_two_equal_requests_at_the_same_moment_one_waits_for_the_other(
    database: Database, clock: ManualClock
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    found: list[tuple[Answer, bool]] = []

    def work(_: object) -> Answer:
        inside.set()
        assert go_on.wait(30)
        return Answer(200, "first")

    def ask(work: object) -> None:
        found.append(database.run(lambda tx: repeats.once(tx, "alice", "key", "r", clock(), work)))  # type: ignore[arg-type]

    first = threading.Thread(target=ask, args=(work,))
    second = threading.Thread(target=ask, args=(lambda _: Answer(200, "second"),))
    first.start()
    assert inside.wait(30)
    second.start()
    go_on.set()
    first.join(30)
    second.join(30)
    assert sorted(found, key=lambda item: item[1]) == [(Answer(200, "first"), False), (Answer(200, "first"), True)]


def test_old_answers_are_forgotten(database: Database, clock: ManualClock) -> None:
    for key in "abc":
        database.run(lambda tx, key=key: repeats.once(tx, "alice", key, "r", clock(), lambda _: Answer(200, "x")))
    assert database.run(lambda tx: repeats.forget_old(tx, clock())) == 0
    clock.advance(repeats.KEPT_SECONDS + 1)
    assert database.run(lambda tx: repeats.forget_old(tx, clock(), 2)) == 2
    assert database.run(lambda tx: repeats.forget_old(tx, clock(), 2)) == 1


def test_administrators_may_do_everything_and_owners_what_is_theirs() -> None:
    admin, alice = Principal("root", frozenset({"admin"})), Principal("alice", frozenset({"submit"}))
    for route in policy.RULES:
        policy.check(route, admin)
    policy.check("act", alice)
    policy.check_owner("act", alice, "alice", "dataset 1")
    policy.check_owner("act", admin, "alice", "dataset 1")
    with pytest.raises(Refused, match="belongs to bob"):
        policy.check_owner("act", alice, "bob", "dataset 1")
    with pytest.raises(Refused):
        policy.check("claim", alice)
    with pytest.raises(Refused):
        policy.check("nothing", admin)
