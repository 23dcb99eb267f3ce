"""Step 6, once a dataset: all jobs merged, and rates, depths and energy losses held against published numbers.

Writes OUTPUT (a picture) and beside it NAME.checks.json; exit code 1 if a check fails.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import panels
import published
from arrays import load
from geometry import trapezoid
from primaries import COS_ZENITH_LEAST, cylinder, surface, weights

DEPTHS = np.array([1.5, 1.65, 1.8, 1.95, 2.1, 2.35, 2.6, 3.0])  # km w.e.
COS_ZENITHS = np.linspace(COS_ZENITH_LEAST, 1, 401)
SURFACE_ENERGIES = np.geomspace(350, 3e4, 12)  # edges of bins, GeV
SURFACE_COS_LEAST = 0.8
SURFACE_COS = 0.9  # a mean zenith for the formula
BECHERINI = "Becherini et al., hep-ph/0507228"


class Chain:
    """The showers, muons and events of all jobs, with the rate that each shower stands for."""

    def __init__(self, muon_files, event_files):
        parts = [load(path) for path in muon_files]
        self.showers = sum(int(part["nevents"][0]) for part in parts)
        self.energy = joined(parts, "E")
        self.pdg = joined(parts, "pdg")
        self.cosine = joined(parts, "cosz")
        self.muon_energy = joined(parts, "mu_E")
        self.muon_end = joined(parts, "mu_Xend")
        before = np.cumsum([0] + [len(part["E"]) for part in parts[:-1]])
        self.muon_shower = np.concatenate([part["mu_ev"] + offset for part, offset in zip(parts, before, strict=True)])
        self.weight = np.asarray(weights(surface(self.showers), self.pdg, self.energy, self.cosine))
        events = [load(path) for path in event_files]
        self.jobs = len(events)
        self.level2 = joined(events, "l2")
        self.event_cosine = joined(events, "cosz")
        self.reco_cosine = joined(events, "reco_cosz")
        self.event_weight = joined(events, "weight") / len(events)

    def muons_of(self, selected):
        """Return how many of the selected muons each shower has."""
        return np.bincount(self.muon_shower[selected], minlength=len(self.energy))


def joined(parts, name):
    """Return one array of all files, end to end."""
    return np.concatenate([part[name] for part in parts])


class Checks(list):
    """Comparisons of this chain with published values."""

    def compare(self, name, value, expected, tolerance, source, sigma=0.0):
        """Add a comparison: passed within the tolerance (relative) plus two sigma (absolute).

        With a statistical error above 20 % it can say nothing: neither passed nor failed (`ok` is None).
        """
        weak = sigma > 0.2 * abs(value)
        passed = bool(abs(value / expected - 1) <= tolerance + 2 * sigma / abs(expected))
        self.append(
            {
                "name": name,
                "value": float(value),
                "published": float(expected),
                "tolerance": tolerance,
                "sigma": float(sigma),
                "ok": None if weak else passed,
                "source": source,
            }
        )

    def below(self, name, value, bar):
        """Add a value that has to stay below an own bar."""
        source = f"own bar: below {bar}"
        self.append(
            {"name": name, "value": value, "published": None, "tolerance": None, "ok": value < bar, "source": source}
        )

    def lines(self):
        """Return the table for people."""
        for check in self:
            word = {True: "ok  ", False: "FAIL", None: "weak"}[check["ok"]]
            expected = f"published {check['published']:.4g} (± {check['sigma']:.2g})" if check["published"] else ""
            yield f"{word} {check['name']} {check['value']:.4g} {expected}".rstrip()


def depth_rates(chain, reference):
    """Return rates (Hz) through the generation cylinder at each depth: this chain, the formulas, the backward flux."""
    area = cylinder().projected_area(COS_ZENITHS) * 1e-4  # m2

    def through(flux):
        return 2 * np.pi * trapezoid(flux * area, COS_ZENITHS)

    counts = [chain.muons_of(chain.muon_end > depth * 1e6 / chain.cosine[chain.muon_shower]) for depth in DEPTHS]
    backward = [np.exp(np.interp(COS_ZENITHS, reference["c"], np.log(flux))) for flux in reference["I"]]
    return {
        "depth": DEPTHS,
        "showers": np.array([(chain.weight * (count > 0)).sum() for count in counts]),
        "error": np.array([np.sqrt((chain.weight**2 * (count > 0)).sum()) for count in counts]),
        "muons": np.array([(chain.weight * count).sum() for count in counts]),
        "showers published": np.array([through(published.showers_deep(depth, COS_ZENITHS)) for depth in DEPTHS]),
        "muons published": np.array([through(published.muons_deep(depth, COS_ZENITHS)) for depth in DEPTHS]),
        "backward depth": reference["h"],
        "muons backward": np.array([through(flux) for flux in backward]),
    }


def surface_spectrum(chain):
    """Return the muon flux at the surface near the vertical, per bin of energy, GeV^-1 cm^-2 s^-1 sr^-1."""
    near = chain.cosine[chain.muon_shower] > SURFACE_COS_LEAST
    weight = chain.weight[chain.muon_shower][near]
    rate, _ = np.histogram(chain.muon_energy[near], SURFACE_ENERGIES, weights=weight)
    square, _ = np.histogram(chain.muon_energy[near], SURFACE_ENERGIES, weights=weight**2)
    used = COS_ZENITHS > SURFACE_COS_LEAST
    area = cylinder().projected_area(COS_ZENITHS) * 1e-4
    acceptance = 2 * np.pi * trapezoid(area[used] * 1e4, COS_ZENITHS[used])  # cm2 sr
    return {
        "energy": np.sqrt(SURFACE_ENERGIES[1:] * SURFACE_ENERGIES[:-1]),
        "width": np.diff(SURFACE_ENERGIES),
        "rate": rate,
        "square": square,
        "acceptance": acceptance,
    }


def zenith_error(chain):
    """Return the median zenith error of level 2 in degrees."""
    if not chain.level2.any():
        return 99.0
    error = np.degrees(np.abs(np.arccos(chain.reco_cosine) - np.arccos(chain.event_cosine)))
    return float(np.median(error[chain.level2]))


def check_all(chain, tables, reference, rates, spectrum):
    """Return all comparisons."""
    checks = Checks()
    for energy in (100.0, 1e3, 1e4):
        loss = np.interp(energy, tables["E"], tables["total"]) * 1e3
        name = f"dE/dX in ice at {energy:g} GeV [GeV/mwe]"
        checks.compare(name, loss, published.mean_loss(energy), 0.06, "MMC, hep-ph/0407075 table 3")
    for depth, flux, error in zip(reference["h"], reference["I"][:, -1], reference["S"][:, -1], strict=True):
        name = f"vertical muons at {depth} km w.e., backward [m^-2 s^-1 sr^-1]"
        checks.compare(name, flux, published.muons_deep(depth, 1.0), 0.10, BECHERINI, error)
    for k in (0, 2, 4):
        name = f"showers with a muon at {DEPTHS[k]} km w.e. [Hz]"
        expected = rates["showers published"][k]
        checks.compare(name, rates["showers"][k], expected, 0.25, BECHERINI, rates["error"][k])
    check_multiplicity(checks, chain)
    checks.below("median zenith error of LineFit at level 2 [deg]", zenith_error(chain), 15)
    check_surface(checks, spectrum)
    return checks


def check_multiplicity(checks, chain):
    """Compare the muons of proton showers with Elbert's formula."""
    protons = (chain.pdg == 2212) & (chain.energy > 1e4) & (chain.energy < 1e5)
    count = chain.muons_of(chain.muon_energy > 500)[protons].sum()
    expected = published.muons_of_nucleon(chain.energy[protons], chain.cosine[protons], 500).sum()
    name = "muons above 500 GeV from 10-100 TeV protons"
    source = "Elbert formula, as in Gaisser's textbook"
    checks.compare(name, count, expected, 0.25, source, np.sqrt(max(count, 1)) * 1.3)


def check_surface(checks, spectrum):
    """Compare the flux at the surface with Gaisser's formula."""
    used = (spectrum["energy"] > 500) & (spectrum["energy"] < 5e3)
    flux = spectrum["rate"][used].sum() / spectrum["acceptance"]
    expected = (published.surface_muons(spectrum["energy"], SURFACE_COS) * spectrum["width"])[used].sum()
    error = np.sqrt(spectrum["square"][used].sum()) / spectrum["acceptance"]
    name = "surface muon flux 0.5-5 TeV, chain / Gaisser formula"
    checks.compare(name, flux, expected, 0.30, "PDG cosmic rays, Gaisser formula", error)


def report(chain, checks):
    """Return the content of the checks file; `ok` if none failed."""
    return {
        "ok": all(check["ok"] is not False for check in checks),
        "weak": sum(check["ok"] is None for check in checks),
        "jobs": chain.jobs,
        "showers": chain.showers,
        "muons": len(chain.muon_energy),
        "triggered": len(chain.event_cosine),
        "level2": int(chain.level2.sum()),
        "checks": checks,
    }


def main():
    """Merge the jobs, compare, draw. Returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("tables", help="the tables (.npz)")
    arguments.add_argument("reference", help="the backward calculation (.npz)")
    arguments.add_argument("--muons", nargs="+", required=True, help="what propagate wrote, job by job")
    arguments.add_argument("--events", nargs="+", required=True, help="what filter wrote, job by job")
    arguments.add_argument("output", help="the picture to write (.png)")
    args = arguments.parse_args()
    tables, reference = load(args.tables), load(args.reference)
    chain = Chain(args.muons, args.events)
    rates = depth_rates(chain, reference)
    spectrum = surface_spectrum(chain)
    checks = check_all(chain, tables, reference, rates, spectrum)
    panels.draw(args.output, chain, tables, rates, spectrum, zenith_error(chain))
    result = report(chain, checks)
    Path(args.output).with_suffix(".checks.json").write_text(json.dumps(result, indent=1))
    print(*checks.lines(), sep="\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
