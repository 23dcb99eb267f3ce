"""Once a dataset: the muon flux deep in ice the other way round, backward from the detector to the surface.

An independent answer to compare the chain with: mulder's backward Monte Carlo on its own sea-level spectrum.
"""

import mulder
import numpy as np
from mulder import materials

from arrays import parser, save
from geometry import RHO_ICE, trapezoid

DEPTHS = np.array([1.5, 1.8, 2.1, 2.6, 3.0])  # km w.e.
COS_ZENITHS = np.array([0.5, 0.625, 0.75, 0.875, 1.0])
ENERGIES = np.geomspace(20, 2e4, 25)  # GeV


def flux(meter, depth, cos_zenith, events):
    """Return the integral flux above 20 GeV and its error (m^-2 s^-1 sr^-1) at a depth in km w.e."""
    state = mulder.GeographicStates(
        latitude=45.0,
        longitude=0.0,
        altitude=-depth * 1e6 / RHO_ICE,
        azimuth=0.0,
        elevation=float(np.degrees(np.arcsin(cos_zenith))),
        energy=ENERGIES,
    )
    result = np.asarray(meter.flux(state, events=events))  # for each energy: value, error
    log_energy = np.log(ENERGIES)
    value = trapezoid(result[:, 0] * ENERGIES, log_energy)
    error = np.sqrt(np.sum((result[:, 1] * ENERGIES * np.gradient(log_energy)) ** 2)) if result.shape[1] > 1 else 0
    return value, error


def main():
    """Compute and store the fluxes at five depths and five zeniths."""
    arguments = parser(__doc__)
    arguments.add_argument("--events", type=int, default=200, help="backward muons a point (default 200)")
    args = arguments.parse_args()
    materials.Material.define("Ice", composition="H2O", density=RHO_ICE)
    meter = mulder.Fluxmeter(mulder.Layer(0.0, material="Ice"))
    meter.mode = "mixed"
    meter.random.seed = args.seed
    value = np.empty((len(DEPTHS), len(COS_ZENITHS)))
    error = np.empty_like(value)
    for i, depth in enumerate(DEPTHS):
        for j, cos_zenith in enumerate(COS_ZENITHS):
            value[i, j], error[i, j] = flux(meter, depth, cos_zenith, args.events)
    save(args, {"vertical_1500": float(value[0, -1])}, h=DEPTHS, c=COS_ZENITHS, I=value, S=error)


if __name__ == "__main__":
    main()
