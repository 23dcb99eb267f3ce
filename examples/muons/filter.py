"""Step 5, the filter (levels 1 and 2): pulse cleaning, direction by LineFit, quality cut, weight of each event."""

import numpy as np

from arrays import load, parser, save
from geometry import modules
from primaries import surface, weights

WINDOW = 4000  # ns around the trigger
PULSES_LEAST = 5
MODULES_LEAST = 10
SPEED_LEAST = 0.1  # m/ns: slower is noise or a cascade
SPEED_MOST = 0.5


def line_fit(position, time):
    """Return the velocity (m/ns) of the plane wave that fits pulses best.

    LineFit, the first guess of AMANDA: J. Ahrens et al., Nucl. Instrum. Meth. A 524 (2004) 169.
    """
    since = time - time.mean()
    return (position * since[:, None]).sum(0) / max(1e-9, (since**2).sum())


def main():
    """Reconstruct and weight the triggered events of one file and store them."""
    args = parser(__doc__, "muons", "pulses").parse_args()
    pulses, truth = load(args.pulses), load(args.muons)
    positions = modules()
    generated = surface(int(truth["nevents"][0]))
    found = []
    for event, start in zip(pulses["trig_ev"], pulses["trig_t"], strict=True):
        clean = (pulses["ev"] == event) & pulses["hlc"] & (np.abs(pulses["time"] - start) < WINDOW)
        if clean.sum() < PULSES_LEAST:
            continue
        module = pulses["dom"][clean]
        velocity = line_fit(positions[module], pulses["time"][clean])
        speed = np.linalg.norm(velocity)
        cos_reco = np.clip(-velocity[2] / max(speed, 1e-9), -1, 1)
        energy, pdg, cosine = truth["E"][event], int(truth["pdg"][event]), truth["cosz"][event]
        weight = float(np.squeeze(weights(generated, pdg, energy, cosine)))
        charge = pulses["charge"][clean].sum()
        found.append((event, pdg, energy, cosine, cos_reco, speed, len(set(module)), charge, weight))
    rows = np.array(found, float).reshape(-1, 9)
    speed, hit = rows[:, 5], rows[:, 6]
    good = (hit >= MODULES_LEAST) & (speed > SPEED_LEAST) & (speed < SPEED_MOST)
    save(
        args,
        {"triggered": len(rows), "level2": int(good.sum()), "rate_hz": round(float(rows[:, 8].sum()), 3)},
        ev=rows[:, 0].astype(np.int32),
        pdg=rows[:, 1].astype(np.int64),
        E=rows[:, 2],
        cosz=rows[:, 3],
        reco_cosz=rows[:, 4],
        speed=speed,
        nch=hit.astype(np.int32),
        qtot=rows[:, 7],
        weight=rows[:, 8],
        l2=good,
    )


if __name__ == "__main__":
    main()
