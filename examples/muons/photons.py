"""Step 3, light (CLSim's and PPC's role): Cherenkov photons of muons and their losses, one by one to the modules.

In production this is the GPU step and most of the work.
"""

import math
import sys
import time

import numpy as np

from arrays import load, parser, save
from geometry import LIGHT_SPEED, MODULE_STEP, MODULE_TOP, MODULES, RHO_ICE, SPACING, strings
from tracing import COS_CHERENKOV, MUON_LEAST_LOSS, Detector, Ice, Losses, Tracks, shine

# Frank and Tamm: photons a metre of track between 300 and 600 nm, about 33 000.
PER_METRE = 2 * math.pi / 137.036 * (1 / 300e-9 - 1 / 600e-9) * (1 - COS_CHERENKOV**2)
ACCEPTANCE = 0.074  # of a module, mean over that band
METRES_PER_GEV = 4.9  # the light of a shower in metres of bare track
MODULE_RADIUS = 0.1651  # m
HITS_MOST = 4_000_000  # that one job can store
MAP_FROM = -500.0  # m
MAP_CELL = 5.0  # m


def ice_layers():
    """Return the optical lengths of every 10 m from 1000 m: clear deep ice, cleaner with depth, with one dusty band."""
    depth = np.arange(1000, 3000, 10.0)
    trend = np.clip((depth - 1500) / 500, -1, 2)
    dust = np.exp(-(((depth - 2050) / 45) ** 2))
    ash = np.exp(-(((depth - 1620) / 30) ** 2))
    scattering = 24 + 9 * trend - 16 * dust - 7 * ash
    absorption = 95 + 45 * trend - 100 * dust - 30 * ash
    return Ice(np.clip(scattering, 5, None), np.clip(absorption, 18, None))


def detector(oversize):
    """Return the strings and the map that finds the nearest, with modules `oversize` times as wide as they are."""
    places = strings()
    cells = int(-2 * MAP_FROM / MAP_CELL)
    centres = MAP_FROM + MAP_CELL * (np.arange(cells) + 0.5)
    x, y = np.meshgrid(centres, centres, indexing="ij")
    squares = (x[..., None] - places[:, 0]) ** 2 + (y[..., None] - places[:, 1]) ** 2
    nearest = squares.argmin(-1).astype(np.int32)
    nearest[squares.min(-1) > SPACING**2] = -1  # no string near: the photon is only carried on
    return Detector(
        x=places[:, 0].copy(),
        y=places[:, 1].copy(),
        nearest=nearest,
        map_from=MAP_FROM,
        cell=MAP_CELL,
        top=MODULE_TOP,
        step=MODULE_STEP,
        modules=MODULES,
        radius=MODULE_RADIUS * oversize,
    )


def sources(tables, muons):
    """Return the tracks and the losses that give light."""
    log_energy = np.log(np.maximum(muons["in_E"], 1))
    soft = np.interp(log_energy, np.log(tables["E"]), tables["soft"]) * RHO_ICE - MUON_LEAST_LOSS
    tracks = Tracks(
        muons["in_pos"], muons["in_dir"], muons["in_len"], muons["in_E"], muons["out_E"], np.maximum(0, soft)
    )
    order = np.argsort(muons["loss_mu"], kind="stable")
    return tracks, Losses(muons["loss_mu"][order], muons["loss_s"][order], muons["loss_E"][order])


def main():
    """Follow the light of one file's muons and store the hits."""
    arguments = parser(__doc__, "tables", "muons")
    arguments.add_argument(
        "--oversize", type=float, default=7.0, help="modules this much wider, photons fewer by its square (default 7)"
    )
    args = arguments.parse_args()
    muons = load(args.muons)
    tracks, losses = sources(load(args.tables), muons)
    module, after_entry, track, photons, steps = shine(
        args.seed * 7919 % 2**31,
        tracks,
        losses,
        PER_METRE * ACCEPTANCE / args.oversize**2,
        METRES_PER_GEV,
        ice_layers(),
        detector(args.oversize),
        HITS_MOST,
    )
    if len(module) == HITS_MOST:
        sys.exit(f"over {HITS_MOST} hits: throw fewer showers a job")
    entry = muons["in_s"][track] / LIGHT_SPEED  # one clock for a bundle: zero when the shower meets the ice
    summary = {
        "photons": int(photons),
        "steps": int(steps),
        "hits": len(module),
        "msteps_per_s": round(steps / 1e6 / max(1e-3, time.process_time()), 1),
    }
    save(args, summary, dom=module, time=after_entry + entry, ev=muons["in_ev"][track])


if __name__ == "__main__":
    main()
