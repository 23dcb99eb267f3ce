"""Which slots could take a shape; and where none can, what excludes how many of them, and which nearly could."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Needs, Offer, has_container, needs

LACKING = 1000.0
"""How far a slot is from having what it lacks altogether, beside ratios of amounts."""


class Failure(NamedTuple):
    """A condition that a slot does not meet: what is wanted, what it has, and how far that is (a ratio above 1)."""

    condition: str
    wanted: str
    has: str
    gap: float


class Excluded(NamedTuple):
    """What one condition does: how many slots it excludes, how many it alone, and the slot that came nearest."""

    condition: str
    wanted: str
    slots: int
    alone: int
    best: str
    where: str


class Nearest(NamedTuple):
    """The slots that nearly could: everything they fail."""

    offer: Offer
    failures: tuple[Failure, ...]


class Match(NamedTuple):
    """Slots that could take a shape, of all there are, and why the others cannot; what excludes most comes first."""

    able: tuple[Offer, ...]
    slots: int
    total: int
    excluded: tuple[Excluded, ...]
    nearest: Nearest | None  # None where some can, or where there are none


def failing(shape: Shape, offer: Offer) -> list[Failure]:
    """Return the conditions of a shape that slots of an offer do not meet, whether or not they are drained."""
    want, have = needs(shape), needs(offer.shape)
    named = [
        *((f"feature {name}", name, "no such feature") for name in sorted(want.features - have.features)),
        *((f"fails {name}", name, "seen to fail") for name in sorted(offer.fails.intersection(shape.features))),
    ]
    if want.sites and offer.site not in want.sites:
        named.append(("site", " or ".join(sorted(want.sites)), offer.site))
    if offer.site in want.not_sites:
        named.append(("not site", offer.site, offer.site))
    if want.container and not has_container(have):
        named.append(("container", "containers", "none"))
    return [*_amounts(want, have), *(Failure(*item, LACKING) for item in named)]


def _amounts(want: Needs, have: Needs) -> Iterator[Failure]:
    for name, unit in (("cpu", "core"), ("gpu", "GPU")):
        more, less = getattr(want, name), getattr(have, name)
        if more > less:
            text = f"{more} {unit}{'s' * (more != 1)}"
            yield Failure(name, text, str(less or "none"), more / less if less else LACKING)
    for name, kind in (("gpu_memory", "GPU memory"), ("memory", "memory"), ("disk", "disk"), ("time", "time")):
        more, less = getattr(want, name), getattr(have, name)
        if more > less:
            text_of = time_text if name == "time" else memory_text
            gap = more / less if less else LACKING
            yield Failure(name.replace("_", " "), f"{text_of(more)} of {kind}", text_of(less) if less else "none", gap)
    if want.gpu_capability > have.gpu_capability:
        wanted, has = (".".join(map(str, parts)) for parts in (want.gpu_capability, have.gpu_capability))
        yield Failure("gpu capability", f"GPU capability {wanted}", has or "none", LACKING)
    for name in ("system", "arch"):
        if getattr(want, name) not in ("", getattr(have, name)):
            yield Failure(name, getattr(want, name), getattr(have, name) or "not known", LACKING)


def match(shape: Shape, offers: Iterable[Offer]) -> Match:
    """Match a shape with all slots there are."""
    ordered = sorted(offers, key=lambda offer: (offer.site, offer.engine, offer.shape.key()))
    found = [(offer, failing(shape, offer)) for offer in ordered if offer.slots > 0]
    able = tuple(offer for offer, failures in found if not failures and offer.usable)
    nearest = None if able else min((Nearest(offer, tuple(of)) for offer, of in found), key=_far, default=None)
    return Match(
        able,
        sum(offer.usable for offer in able),
        sum(offer.slots for offer, _ in found),
        tuple(_excluded(found)),
        nearest,
    )


def _far(nearest: Nearest) -> tuple[int, float, int]:
    offer, failures = nearest
    return len(failures) + (not offer.usable), max((item.gap for item in failures), default=0.0), -offer.slots


def _excluded(found: Sequence[tuple[Offer, list[Failure]]]) -> list[Excluded]:
    by_condition: dict[str, list[tuple[Offer, Failure, bool]]] = {}
    for offer, failures in found:
        for failure in failures:
            by_condition.setdefault(failure.condition, []).append((offer, failure, len(failures) == 1))
    excluded = []
    for condition, items in by_condition.items():
        offer, failure, _ = min(items, key=lambda item: (item[1].gap, -item[0].slots))
        slots = sum(offer.slots for offer, _, _ in items)
        alone = sum(offer.usable for offer, _, only in items if only)
        excluded.append(Excluded(condition, failure.wanted, slots, alone, failure.has, place(offer)))
    drained = [(offer, not failures) for offer, failures in found if offer.drained]
    if drained:
        slots = sum(min(offer.drained, offer.slots) for offer, _ in drained)
        alone = sum(min(offer.drained, offer.slots) for offer, only in drained if only)
        where = place(max((offer for offer, _ in drained), key=lambda offer: offer.drained))
        excluded.append(Excluded("drained", "", slots, alone, "", where))
    return sorted(excluded, key=lambda item: (-item.slots, -item.alone, item.condition))


def place(offer: Offer) -> str:
    """Return what people call the place of an offer: its site, or else its engine."""
    return offer.site or offer.engine or "this engine"
