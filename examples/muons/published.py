"""Published formulas that the chain is compared with."""

import numpy as np

MULTIPLICITIES = range(1, 60)


def mean_loss(energy):
    """Return the mean energy loss of muons in ice, GeV per m w.e., at an energy in GeV.

    The MMC fit a + b E: D. Chirkin and W. Rhode, hep-ph/0407075, table 3.
    """
    return 0.259 + 0.363e-3 * energy


def bundles(depth, cos_zenith, muons=1):
    """Return the flux of bundles of so many muons deep in water, m^-2 s^-1 sr^-1, at a depth in km w.e.

    Y. Becherini, A. Margiotta, M. Sioli, M. Spurio, Astropart. Phys. 25 (2006) 1 (hep-ph/0507228), with the constants
    as IceCube's MuonGun carries them.
    """
    flux = 7.2e-3 * depth**-1.927 * cos_zenith * np.exp((-0.581 * depth + 0.034) / cos_zenith)
    if muons > 1:
        slope = 0.01041 * depth * depth + 0.09912 * depth + 2.712
        flux = flux * muons ** (-slope * np.exp(0.01615 * np.exp(0.6010 * depth) / cos_zenith))
    return flux


def showers_deep(depth, cos_zenith):
    """Return the flux of showers with any muon at this depth; as `bundles`."""
    return sum(bundles(depth, cos_zenith, muons) for muons in MULTIPLICITIES)


def muons_deep(depth, cos_zenith):
    """Return the flux of muons at this depth; as `bundles`."""
    return sum(muons * bundles(depth, cos_zenith, muons) for muons in MULTIPLICITIES)


def muons_of_nucleon(energy, cos_zenith, threshold):
    """Return the mean number of muons above a threshold in a nucleon's shower; energies in GeV.

    Elbert's formula, as in T. Gaisser's textbook "Cosmic Rays and Particle Physics".
    """
    x = threshold / energy
    return 0.0145e3 / (threshold * cos_zenith) * (1 / x) ** 0.757 * (1 - x) ** 5.25


def surface_muons(energy, cos_zenith):
    """Return the muon flux at the surface, GeV^-1 cm^-2 s^-1 sr^-1, at an energy in GeV.

    Gaisser's formula, from the Particle Data Group's review of cosmic rays.
    """
    pions = 1 / (1 + 1.1 * energy * cos_zenith / 115)
    kaons = 0.054 / (1 + 1.1 * energy * cos_zenith / 850)
    return 0.14 * energy**-2.7 * (pions + kaons)
