"""The cosmic rays that enter the atmosphere: what is thrown, and the weight that turns it into a flux."""

import numpy as np
import simweights

from geometry import CYLINDER_LENGTH, CYLINDER_RADIUS

# PDG code, nucleons, share of the showers: H, He, N, Al, Fe, the five components of the Gaisser H3a flux.
MIX = (
    (2212, 1, 0.70),
    (1000020040, 4, 0.22),
    (1000070140, 14, 0.04),
    (1000130270, 27, 0.02),
    (1000260560, 56, 0.02),
)
ENERGY_LEAST = 600.0  # GeV a nucleon
ENERGY_MOST = 5e5  # GeV for protons; times sqrt(A) for nuclei
COS_ZENITH_LEAST = 0.5
INDEX = -2.2  # of the thrown power law, harder than nature's -2.7: more of the showers that reach the detector


def cylinder():
    """Return the surface that showers are thrown at; its projected area gives the zenith distribution."""
    return simweights.NaturalRateCylinder(CYLINDER_LENGTH, CYLINDER_RADIUS, COS_ZENITH_LEAST, 1.0, "cos_zen")


def surface(showers):
    """Return the simweights generation surface of this many showers, summed over the components.

    Only the total matters: jobs can be lost or added, and the weights follow.
    """
    target = cylinder()
    total = 0
    for pdg, nucleons, share in MIX:
        spectrum = simweights.PowerLaw(INDEX, ENERGY_LEAST * nucleons, ENERGY_MOST * max(1, nucleons**0.5), "energy")
        total = total + showers * share * simweights.generation_surface(pdg, spectrum, target)
    return total


def weights(generated, pdg, energy, cos_zenith):
    """Return the rate in Hz that each shower stands for: Gaisser H3a flux over generated density. Energy in GeV.

    T. Gaisser, Astropart. Phys. 35 (2012) 801, as `simweights.GaisserH3a` carries it; `generated` is from `surface`.
    """
    return simweights.GaisserH3a()(energy, pdg) / generated.get_epdf(pdgid=pdg, energy=energy, cos_zen=cos_zenith)


def throw(showers, rng):
    """Return PDG codes, nucleon numbers, energies (GeV), cos zenith and azimuths of this many showers."""
    kind = rng.choice(len(MIX), showers, p=[share for _, _, share in MIX])
    pdg = np.array([component[0] for component in MIX])[kind]
    nucleons = np.array([component[1] for component in MIX])[kind]
    low = ENERGY_LEAST * nucleons
    high = ENERGY_MOST * np.maximum(1, nucleons**0.5)
    power = INDEX + 1
    energy = (low**power + rng.random(showers) * (high**power - low**power)) ** (1 / power)
    cos_zenith = _cos_zenith(rng.random(showers))
    azimuth = rng.random(showers) * 2 * np.pi
    return pdg, nucleons, energy, cos_zenith, azimuth


def _cos_zenith(uniform):
    """Turn uniform numbers into cos zenith, as many showers as the cylinder's projected area lets through."""
    grid = np.linspace(COS_ZENITH_LEAST, 1, 4001)
    area = cylinder().projected_area
    steps = (area(grid[1:]) + area(grid[:-1])) / 2
    cumulative = np.concatenate([[0], np.cumsum(steps)])
    return np.interp(uniform * cumulative[-1], cumulative, grid)
