"""Once a dataset: energy loss of muons in ice and air, cross-sections of hadrons in air, the South Pole atmosphere."""

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


def compiled(material, **options):
    """Return a material's PUMAS tables (V. Niess, CPC 279 (2022) 108438)."""
    result = mulder.Physics(**options).compile(material)
    return result[0] if isinstance(result, (list, tuple)) else result


def ice_losses(energy, cuts):
    """Return what a muon loses in ice, for each energy in GeV.

    `sig`: cross-section of relative losses above each cut (m2/kg), `soft`: mean loss below the first cut, `total`: all
    of it (GeV m2/kg), `csda`: range (kg/m2).
    """
    materials.Material.define("Ice", composition="H2O", density=RHO_ICE)
    steps = [compiled("Ice", cutoff=float(cut)) for cut in cuts]
    return {
        "sig": np.array([step.cross_section(energy) / RHO_ICE for step in steps]),
        "soft": steps[0].stopping_power(energy, mode="mixed") / RHO_ICE,
        "total": steps[0].stopping_power(energy) / RHO_ICE,
        "csda": steps[0].range(energy) * RHO_ICE,
    }


def air_loss(energy):
    """Return the mean energy loss in air, GeV m2/kg, for each energy in GeV."""
    air = compiled("Air")
    density = air.definition.density if hasattr(air.definition, "density") else AIR_DENSITY
    return air.stopping_power(energy) / density


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
    args = parser(__doc__).parse_args()
    energy = np.geomspace(1.0, 1e7, 141)
    cuts = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.9])
    hadron_energy = np.geomspace(100, 1e8, 61)
    height = np.linspace(SURFACE, 100e3, 2000)
    grammage = atmosphere(height)
    save(
        args,
        {"n_energies": len(energy), "surface_depth_gcm2": float(grammage[0])},
        E=energy,
        cuts=cuts,
        **ice_losses(energy, cuts),
        air_loss=air_loss(energy),
        Eh=hadron_energy,
        xs=cross_sections(hadron_energy),
        h=height,
        X=grammage,
    )


if __name__ == "__main__":
    main()
