"""Photons through layered ice, one by one: the compiled kernels of the photon step (CLSim's and PPC's method)."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from geometry import LIGHT_SPEED

PHASE_INDEX = 1.33
GROUP_INDEX = 1.36
COS_CHERENKOV = 1 / PHASE_INDEX
FORWARD = 0.9  # mean cosine of scattering (Henyey-Greenstein)
LAYERS_FROM = 1000.0  # m of depth
LAYER = 10.0  # m
BRIGHTEST = 3e4  # GeV: a shower gives no more light than this
MUON_LEAST_LOSS = 0.25  # GeV/m: how far a muon that stops inside shines

# The directions of light around a shower: exp(-b x^a) of x = 1 - cos, as in PPC.
SHOWER_A = 0.39
SHOWER_B = 2.61


class Ice(NamedTuple):
    """Effective scattering and absorption lengths, m, for each layer from the top."""

    scattering: np.ndarray
    absorption: np.ndarray


class Detector(NamedTuple):
    """Positions of strings, m; the nearest string to each cell of a map, -1 for none; modules from the top."""

    x: np.ndarray
    y: np.ndarray
    nearest: np.ndarray
    map_from: float
    cell: float
    top: float
    step: float
    modules: int
    radius: float


class Tracks(NamedTuple):
    """Muons in the detector: entry point (m), direction, length (m), energies (GeV), light of soft losses (GeV/m)."""

    position: np.ndarray
    direction: np.ndarray
    length: np.ndarray
    energy_in: np.ndarray
    energy_out: np.ndarray
    soft: np.ndarray


class Losses(NamedTuple):
    """Hard losses, sorted by track: track number, path length from its entry (m), energy (GeV)."""

    track: np.ndarray
    path: np.ndarray
    energy: np.ndarray


@njit(cache=True)
def turn(dx, dy, dz, cosine):
    """Return a direction at an angle to another, at a random azimuth."""
    sine = math.sqrt(max(0.0, 1 - cosine * cosine))
    azimuth = 2 * math.pi * np.random.random()
    cos_a = math.cos(azimuth)
    sin_a = math.sin(azimuth)
    across = math.sqrt(max(1e-30, dx * dx + dy * dy))
    if across < 1e-6:
        return sine * cos_a, sine * sin_a, (cosine if dz > 0 else -cosine)
    return (
        cosine * dx + sine * (dx * dz * cos_a - dy * sin_a) / across,
        cosine * dy + sine * (dy * dz * cos_a + dx * sin_a) / across,
        cosine * dz - sine * cos_a * across,
    )


@njit(cache=True)
def struck(x, y, z, dx, dy, dz, length, string, detector):
    """Return the first module of a string that a straight step meets, -1 for none, and the distance to it."""
    ux = x - detector.x[string]
    uy = y - detector.y[string]
    module = -1
    nearest = 1e9
    radius = detector.radius
    if ux * ux + uy * uy < (length + radius) * (length + radius):
        middle = z + 0.5 * length * dz
        guess = int((detector.top - middle) / detector.step + 0.5)
        for i in range(max(0, guess - 1), min(detector.modules, guess + 2)):
            uz = z - (detector.top - detector.step * i)
            along = ux * dx + uy * dy + uz * dz
            inside = along * along - (ux * ux + uy * uy + uz * uz - radius * radius)
            if inside > 0:
                distance = -along - math.sqrt(inside)
                if 0 <= distance <= length and distance < nearest:
                    nearest = distance
                    module = i
    return module, nearest


@njit(cache=True)
def trace(x, y, z, dx, dy, dz, time, ice, detector):
    """Follow a photon until it is absorbed, leaves the array or hits a module: module (-1 = none), time (ns), steps."""
    budget = -math.log(np.random.random())  # absorption lengths to live
    steps = 0
    while budget > 0:
        layer = min(max(int((-z - LAYERS_FROM) / LAYER), 0), len(ice.scattering) - 1)
        length = -math.log(np.random.random()) * ice.scattering[layer] * (1 - FORWARD)
        absorption = ice.absorption[layer]
        if length / absorption > budget:
            length = budget * absorption
        steps += 1
        column = int((x - detector.map_from) / detector.cell)
        row = int((y - detector.map_from) / detector.cell)
        if column < 0 or row < 0 or column >= detector.nearest.shape[0] or row >= detector.nearest.shape[1]:
            return -1, time, steps
        string = detector.nearest[column, row]
        if string >= 0:
            module, distance = struck(x, y, z, dx, dy, dz, length, string, detector)
            if module >= 0:
                return string * detector.modules + module, time + distance * GROUP_INDEX / LIGHT_SPEED, steps
        x += dx * length
        y += dy * length
        z += dz * length
        time += length * GROUP_INDEX / LIGHT_SPEED
        budget -= length / absorption
        uniform = np.random.random()
        h = (1 - FORWARD * FORWARD) / (1 - FORWARD + 2 * FORWARD * uniform)
        cosine = (1 + FORWARD * FORWARD - h * h) / (2 * FORWARD)
        dx, dy, dz = turn(dx, dy, dz, min(1.0, max(-1.0, cosine)))
    return -1, time, steps


@njit(cache=True)
def shine(seed, tracks, losses, per_metre, metres_per_gev, ice, detector, most):
    """Make the light of muons and follow it.

    `per_metre` photons a metre of bare track, a shower of 1 GeV like `metres_per_gev` of it. Returns for each hit the
    module, the time after the muon's entry (ns) and the track (all cut at `most`), and the photons and steps done.
    """
    np.random.seed(seed)
    hit_module = np.empty(most, np.int32)
    hit_time = np.empty(most)
    hit_track = np.empty(most, np.int32)
    hits = 0
    photons = 0
    steps = 0
    loss = 0
    spread = 1 - math.exp(-SHOWER_B * 2**SHOWER_A)
    for i in range(len(tracks.length)):
        x, y, z = tracks.position[i]
        dx, dy, dz = tracks.direction[i]
        energy = tracks.energy_in[i]
        length = tracks.length[i]
        if not tracks.energy_out[i] > 0:
            length = min(length, energy / MUON_LEAST_LOSS)
        bright = 1 + max(0.0, 0.188 + 0.0206 * math.log(max(energy, 1.0))) + metres_per_gev * tracks.soft[i]
        count = np.random.poisson(length * per_metre * bright)
        photons += count
        for _ in range(count):  # along the track, on the Cherenkov cone
            path = np.random.random() * length
            px, py, pz = turn(dx, dy, dz, COS_CHERENKOV)
            module, time, more = trace(
                x + path * dx, y + path * dy, z + path * dz, px, py, pz, path / LIGHT_SPEED, ice, detector
            )
            steps += more
            if module >= 0 and hits < most:
                hit_module[hits] = module
                hit_time[hits] = time
                hit_track[hits] = i
                hits += 1
        while loss < len(losses.track) and losses.track[loss] == i:
            path = losses.path[loss]
            count = np.random.poisson(min(losses.energy[loss], BRIGHTEST) * metres_per_gev * per_metre)
            photons += count
            for _ in range(count):  # around a shower
                bend = (-math.log(1 - np.random.random() * spread) / SHOWER_B) ** (1 / SHOWER_A)
                ax, ay, az = turn(dx, dy, dz, max(1 - bend, -1.0))
                px, py, pz = turn(ax, ay, az, COS_CHERENKOV)
                module, time, more = trace(
                    x + path * dx, y + path * dy, z + path * dz, px, py, pz, path / LIGHT_SPEED, ice, detector
                )
                steps += more
                if module >= 0 and hits < most:
                    hit_module[hits] = module
                    hit_time[hits] = time
                    hit_track[hits] = i
                    hits += 1
            loss += 1
    return hit_module[:hits], hit_time[:hits], hit_track[:hits], photons, steps
