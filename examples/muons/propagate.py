"""Step 2, muons through ice (PROPOSAL's role), with the cross-sections of PUMAS.

Losses above 1 % come one by one, the rest is continuous.
Keeps for every muon the slant grammage at which it falls below 20 GeV, and its losses inside the detector.
"""

import sys

import numpy as np
from numba import njit

from arrays import load, parser, save
from geometry import CYLINDER_LENGTH, CYLINDER_RADIUS, CYLINDER_Z, FIRN, RHO_FIRN, RHO_ICE

LEAST = 20.0  # GeV: a muon below this has ended
LOSSES_MOST = 200_000  # hard losses inside the detector that one job can store
LONGEST_STEP = 25.0  # m
FAR = 1e8  # m: where a muon that misses the detector would enter it


@njit(cache=True)
def interpolate(log_energy, first, step, table):
    """Return a table's value at a log energy; the table is equally spaced in log energy from `first`."""
    place = (log_energy - first) / step
    index = min(max(int(place), 0), len(table) - 2)
    place -= index
    return table[index] * (1 - place) + table[index + 1] * place


@njit(cache=True)
def hard_loss(log_energy, first, step, sig, log_cuts):
    """Return a relative loss above the first cut: the inverse of the integral spectrum sigma(> v)."""
    above = interpolate(log_energy, first, step, sig[0])
    target = above * np.random.random()
    for k in range(1, sig.shape[0]):
        below = interpolate(log_energy, first, step, sig[k])
        if below <= target:
            part = (np.log(above) - np.log(max(target, 1e-300))) / (np.log(above) - np.log(max(below, 1e-300)))
            return np.exp(log_cuts[k - 1] + part * (log_cuts[k] - log_cuts[k - 1]))
        above = below
    last = np.exp(log_cuts[-1])
    return last + (1 - last) * (1 - target / above)


@njit(cache=True)
def propagate(seed, start_energy, enter, leave, cosine, first, step, sig, log_cuts, soft):
    """Carry muons down from the surface.

    In: energies in GeV, path lengths at which they enter and leave the detector in m, cosines of their zenith, and the
    tables. Out: grammage at the end (kg/m2), energies on entering and leaving (0 = not reached), and for each hard loss
    in the detector its muon, path length (m) and energy (GeV).
    """
    np.random.seed(seed)
    count = len(start_energy)
    end = np.zeros(count)
    energy_in = np.zeros(count)
    energy_out = np.zeros(count)
    loss_muon = np.empty(LOSSES_MOST, np.int32)
    loss_path = np.empty(LOSSES_MOST)
    loss_energy = np.empty(LOSSES_MOST)
    losses = 0
    for i in range(count):
        energy = start_energy[i]
        path = 0.0
        grammage = 0.0
        while True:
            if path <= enter[i]:
                energy_in[i] = energy
            if path <= leave[i]:
                energy_out[i] = energy
            density = RHO_FIRN if path * cosine[i] < FIRN else RHO_ICE
            log_energy = np.log(energy)
            continuous = interpolate(log_energy, first, step, soft) * density  # GeV/m
            rate = interpolate(log_energy, first, step, sig[0]) * density  # hard losses a metre
            length = min(0.03 * energy / continuous, LONGEST_STEP)
            to_loss = -np.log(np.random.random()) / rate
            hard = to_loss < length
            if hard:
                length = to_loss
            energy -= continuous * length
            path += length
            grammage += density * length
            if energy <= LEAST:
                break
            if hard:
                loss = hard_loss(np.log(energy), first, step, sig, log_cuts)
                if enter[i] < path < leave[i] and losses < LOSSES_MOST:
                    loss_muon[losses] = i
                    loss_path[losses] = path
                    loss_energy[losses] = loss * energy
                    losses += 1
                energy *= 1 - loss
                if energy <= LEAST:
                    break
        if path < enter[i]:
            energy_in[i] = 0.0
        if path < leave[i]:
            energy_out[i] = 0.0
        end[i] = grammage
    return end, energy_in, energy_out, loss_muon[:losses], loss_path[:losses], loss_energy[:losses]


def surface_lines(shower):
    """Return where each muon meets the ice surface (m), and its direction; both of shape (muons, 3)."""
    event = shower["mu_ev"]
    axis = shower["dir"][event]
    first = np.cross(axis, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first, axis=1)[:, None]
    second = np.cross(axis, first)
    to_plane = -shower["point"][event, 2] / shower["cosz"][event]  # along the axis, surface to impact plane
    offset = shower["mu_xy"] + shower["mu_t"] * to_plane[:, None]
    point = shower["point"][event] + offset[:, :1] * first + offset[:, 1:] * second
    direction = axis + shower["mu_t"][:, :1] * first + shower["mu_t"][:, 1:] * second
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    return point - direction * (point[:, 2] / direction[:, 2])[:, None], direction


def through_cylinder(point, direction):
    """Return the path lengths (m) at which lines enter and leave the generation cylinder; `FAR` twice for a miss."""
    square = direction[:, 0] ** 2 + direction[:, 1] ** 2
    along = point[:, 0] * direction[:, 0] + point[:, 1] * direction[:, 1]
    inside = along * along - square * (point[:, 0] ** 2 + point[:, 1] ** 2 - CYLINDER_RADIUS**2)
    root = np.sqrt(np.maximum(inside, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(square > 1e-12, (-along - root) / square, -1e9)
        far = np.where(square > 1e-12, (-along + root) / square, 1e9)
    top = (CYLINDER_Z + CYLINDER_LENGTH / 2 - point[:, 2]) / direction[:, 2]
    bottom = (CYLINDER_Z - CYLINDER_LENGTH / 2 - point[:, 2]) / direction[:, 2]
    enter = np.where(inside > 0, np.maximum(near, top), 1.0)
    leave = np.where(inside > 0, np.minimum(far, bottom), 0.0)
    miss = leave <= enter
    enter[miss] = FAR
    leave[miss] = FAR
    return enter, leave


def main():
    """Carry the muons of one file through the ice and store what reaches the detector."""
    args = parser(__doc__, "tables", "showers").parse_args()
    tables, shower = load(args.tables), load(args.showers)
    event = shower["mu_ev"]
    start, direction = surface_lines(shower)
    enter, leave = through_cylinder(start, direction)
    log_energy = np.log(tables["E"])
    end, energy_in, energy_out, loss_muon, loss_path, loss_energy = propagate(
        args.seed * 1000003 % 2**31,
        shower["mu_E"],
        enter,
        leave,
        -direction[:, 2],
        log_energy[0],
        log_energy[1] - log_energy[0],
        tables["sig"],
        np.log(tables["cuts"]),
        tables["soft"],
    )
    if len(loss_muon) == LOSSES_MOST:
        sys.exit(f"over {LOSSES_MOST} hard losses in the detector: throw fewer showers a job")
    miss = enter == FAR
    energy_in[miss] = 0
    energy_out[miss] = 0
    keep = energy_in > 0
    entering = np.cumsum(keep) - 1  # muon -> its number among those that enter
    summary = {
        "muons": len(event),
        "entering": int(keep.sum()),
        "events": len(np.unique(event[keep])),
        "hard_losses": len(loss_muon),
    }
    save(
        args,
        summary,
        **{name: shower[name] for name in ("pdg", "E", "cosz", "phi", "nevents", "mu_ev", "mu_E")},
        mu_Xend=end,
        in_mu=np.flatnonzero(keep).astype(np.int32),
        in_ev=event[keep],
        in_pos=(start + direction * enter[:, None])[keep],
        in_dir=direction[keep],
        in_s=enter[keep],
        in_len=(leave - enter)[keep],
        in_E=energy_in[keep],
        out_E=energy_out[keep],
        loss_mu=entering[loss_muon].astype(np.int32),
        loss_s=loss_path - enter[loss_muon],
        loss_E=loss_energy,
    )


if __name__ == "__main__":
    main()
