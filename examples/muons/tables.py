"""Once a dataset: energy loss of muons in ice and air, cross-sections of hadrons in air, the South Pole atmosphere."""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor

import chromo
import mulder
import numpy as np
from chromo.kinematics import FixedTarget, GeV
from chromo.util import CompositeTarget
from MCEq.geometry.density_profiles import CorsikaAtmosphere
from mulder import materials

from arrays import parser, save
from geometry import RHO_ICE

SURFACE = 2835.0  # m above sea level
AIR_DENSITY = 1.205  # kg/m3
ENERGY = np.geomspace(1.0, 1e7, 141)  # GeV
CUTS = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.9])  # relative losses


def compiled(material, **options):
    """Return a material's PUMAS tables (V. Niess, CPC 279 (2022) 108438): some ten seconds of work."""
    materials.Material.define("Ice", composition="H2O", density=RHO_ICE)
    result = mulder.Physics(**options).compile(material)
    return result[0] if isinstance(result, (list, tuple)) else result


def ice(cut):
    """Return what a muon loses in ice, for each energy.

    `sig`: cross-section of relative losses above the cut (m2/kg), `soft`: mean loss below it, `total`: all of it (GeV
    m2/kg), `csda`: range (kg/m2).
    """
    tables = compiled("Ice", cutoff=float(cut))
    return {
        "sig": tables.cross_section(ENERGY) / RHO_ICE,
        "soft": tables.stopping_power(ENERGY, mode="mixed") / RHO_ICE,
        "total": tables.stopping_power(ENERGY) / RHO_ICE,
        "csda": tables.range(ENERGY) * RHO_ICE,
    }


def air():
    """Return the mean energy loss in air, GeV m2/kg, for each energy."""
    tables = compiled("Air")
    density = tables.definition.density if hasattr(tables.definition, "density") else AIR_DENSITY
    return tables.stopping_power(ENERGY) / density


def losses(cores):
    """Return the tables of ice and air, made by so many processes."""
    if cores == 1:
        in_air, in_ice = air(), [ice(cut) for cut in CUTS]
    else:
        with (
            tempfile.TemporaryDirectory() as folder,
            ProcessPoolExecutor(cores, initializer=own_cache, initargs=(folder,)) as pool,
        ):
            later = pool.submit(air)  # first, because it takes longest
            in_ice = list(pool.map(ice, CUTS))
            in_air = later.result()
    return {**in_ice[0], "sig": np.array([table["sig"] for table in in_ice]), "air_loss": in_air}


def own_cache(folder):
    """Give this process a cache of its own: mulder's is not made for two that write."""
    os.environ["MULDER_CACHE"] = f"{folder}/{os.getpid()}"


def cross_sections(energy):
    """Return the inelastic cross-sections in air of protons, pions and kaons, in mb, shape (3, energies).

    Sibyll 2.3d: F. Riehn et al., Phys. Rev. D 102 (2020) 063002.
    """
    air = CompositeTarget([("N14", 0.785), ("O16", 0.215)])
    model = chromo.models.Sibyll23d(FixedTarget(1e6 * GeV, "p", "N14"), seed=1)
    return np.array(
        [
            [model.cross_section(FixedTarget(e * GeV, hadron, air)).inelastic for e in energy]
            for hadron in ("p", "pi+", "K+")
        ]
    )


def atmosphere(height):
    """Return the grammage above each height (m above sea level) in g/cm2: CORSIKA's South Pole in December."""
    model = CorsikaAtmosphere("SouthPole", "December")
    return np.array([model.get_mass_overburden(metres * 100) for metres in height])


def main():
    """Compute and store the tables."""
    arguments = parser(__doc__)
    arguments.add_argument("--cores", type=int, default=1, help="processes that share the work (default 1)")
    args = arguments.parse_args()
    hadron_energy = np.geomspace(100, 1e8, 61)
    height = np.linspace(SURFACE, 100e3, 2000)
    grammage = atmosphere(height)
    save(
        args,
        {"n_energies": len(ENERGY), "surface_depth_gcm2": float(grammage[0])},
        E=ENERGY,
        cuts=CUTS,
        **losses(args.cores),
        Eh=hadron_energy,
        xs=cross_sections(hadron_energy),
        h=height,
        X=grammage,
    )


if __name__ == "__main__":
    main()
