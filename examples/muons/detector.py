"""Step 4, the detector: jitter and charge of photoelectrons, dark noise, local coincidence, trigger."""

import numpy as np

from arrays import load, parser, save
from geometry import MODULES, strings

NOISE = 560.0 * 1e-9  # dark counts of a module in a ns: 560 Hz
JITTER = 2.0  # ns
MARGIN = 3000  # ns read out before the first and after the last photon
COINCIDENCE = 1000.0  # ns within which a neighbour or next neighbour on the string makes a pulse a local coincidence
TRIGGER_WINDOW = 5000.0  # ns
TRIGGER_PULSES = 8  # local coincidences in that window: IceCube's SMT-8


def pulses(time, module, rng):
    """Return times (ns), modules and charges (photoelectrons) of an event's pulses with noise, in order of time."""
    count = len(strings()) * MODULES
    time = time + rng.normal(0, JITTER, len(time))
    start = time.min() - MARGIN
    stop = time.max() + MARGIN
    noise = rng.poisson(NOISE * (stop - start) * count)
    time = np.concatenate([time, rng.uniform(start, stop, noise)])
    module = np.concatenate([module, rng.integers(0, count, noise)])
    order = np.argsort(time, kind="stable")
    charge = np.maximum(0.2, rng.normal(1, 0.3, len(time)))
    return time[order], module[order], charge


def coincident(time, module):
    """Return which pulses have another one near in time and place."""
    string = (module // MODULES).tolist()
    place = (module % MODULES).tolist()
    time = time.tolist()  # lists, because the loops below are far slower on arrays
    result = np.zeros(len(time), bool)
    for i in range(len(time)):
        j = i + 1
        while j < len(time) and time[j] - time[i] <= COINCIDENCE:
            if string[i] == string[j] and 0 < abs(place[i] - place[j]) <= 2:
                result[i] = True
                result[j] = True
            j += 1
    return result


def trigger_time(time):
    """Return when the first window with enough coincident pulses begins, None for no trigger."""
    if len(time) < TRIGGER_PULSES:
        return None
    full = time[TRIGGER_PULSES - 1 :] - time[: -TRIGGER_PULSES + 1] <= TRIGGER_WINDOW
    return time[int(np.argmax(full))] if full.any() else None


def main():
    """Turn the hits of one file into triggered events and store them."""
    args = parser(__doc__, "hits").parse_args()
    hits = load(args.hits)
    rng = np.random.default_rng([args.seed, 4])
    events = np.unique(hits["ev"])
    found = {"ev": [], "dom": [], "time": [], "charge": [], "hlc": []}
    triggers = []
    for event in events:
        own = hits["ev"] == event
        time, module, charge = pulses(hits["time"][own], hits["dom"][own], rng)
        local = coincident(time, module)
        start = trigger_time(time[local])
        if start is None:
            continue
        triggers.append((event, start))
        for name, values in zip(found, (np.full(len(time), event), module, time, charge, local), strict=True):
            found[name].append(values)
    joined = {name: np.concatenate(values) if values else np.zeros(0) for name, values in found.items()}
    rows = np.array(triggers, float).reshape(-1, 2)
    save(
        args,
        {"events_with_light": len(events), "triggered": len(rows), "pulses": len(joined["ev"])},
        trig_ev=rows[:, 0].astype(np.int32),
        trig_t=rows[:, 1],
        ev=joined["ev"].astype(np.int32),
        dom=joined["dom"].astype(np.int32),
        time=joined["time"],
        charge=joined["charge"],
        hlc=joined["hlc"].astype(bool),
    )


if __name__ == "__main__":
    main()
