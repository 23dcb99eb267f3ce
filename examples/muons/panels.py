"""The closing picture: muons in ice, depth and intensity, zenith, fluxes at the surface."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import published
from primaries import COS_ZENITH_LEAST

mpl.use("Agg")


def draw(path, chain, tables, rates, spectrum, zenith_error):
    """Write the picture; the arguments are those that `analyze.py` computes."""
    figure, axes = plt.subplots(2, 2, figsize=(11.5, 8.2), constrained_layout=True)
    losses(axes[0, 0], tables)
    depths(axes[0, 1], rates, chain.showers)
    zeniths(axes[1, 0], chain, zenith_error)
    fluxes(axes[1, 1], spectrum)
    for panel in axes.flat:
        panel.grid(alpha=0.2)
    figure.suptitle("A miniature of IceCube's simulation chain, run from end to end on CPUs", fontsize=13)
    figure.savefig(path, dpi=110)


def losses(panel, tables):
    """Draw the mean energy loss of muons in ice."""
    energy = tables["E"]
    panel.loglog(energy, tables["total"] * 1e3, lw=2, label="PUMAS tables (mulder), this chain")
    panel.loglog(energy, published.mean_loss(energy), "k--", label="MMC fit: 0.259 + 0.000363 E")
    panel.loglog(energy, tables["soft"] * 1e3, ":", label="continuous part (losses < 1 %)")
    panel.set(xlim=(10, 1e5), ylim=(0.15, 60), title="Muons in ice")
    panel.set(xlabel="muon energy (GeV)", ylabel="mean energy loss (GeV per m w.e.)")
    panel.legend(fontsize=8)


def depths(panel, rates, showers):
    """Draw the rates through the cylinder at each depth."""
    depth = rates["depth"]
    expected = rates["showers published"]
    label = f"showers, this chain (Sibyll 2.3d, H3a, {showers} primaries)"
    panel.errorbar(depth, rates["showers"], rates["error"], fmt="o", label=label)
    panel.semilogy(depth, expected, "k--", label="showers, Becherini et al. 2006 (30 % band)")
    panel.fill_between(depth, expected * 0.7, expected * 1.3, color="k", alpha=0.08, lw=0)
    panel.semilogy(depth, rates["muons published"], "C3--", lw=1, label="all muons, Becherini et al.")
    label = "all muons, backward Monte Carlo (mulder)"
    panel.semilogy(rates["backward depth"], rates["muons backward"], "C3s", ms=5, label=label)
    panel.semilogy(depth, rates["muons"], "C0^", ms=5, mfc="none", label="all muons, this chain")
    panel.set(xlabel="vertical depth (km w.e.)", ylabel="rate through the cylinder (Hz)")
    panel.set(title="Depth and intensity, zenith below 60°")
    panel.legend(fontsize=7)


def zeniths(panel, chain, zenith_error):
    """Draw the zenith distribution of triggered and of reconstructed events."""
    edges = np.linspace(COS_ZENITH_LEAST, 1, 11)
    everything = np.ones(len(chain.event_cosine), bool)
    for label, selected, cosine in (
        ("all triggered, true", everything, chain.event_cosine),
        ("level 2, LineFit", chain.level2, chain.reco_cosine),
    ):
        weight = chain.event_weight[selected]
        rate, _ = np.histogram(cosine[selected], edges, weights=weight)
        square, _ = np.histogram(cosine[selected], edges, weights=weight**2)
        panel.stairs(rate, edges, label=f"{label}: {rate.sum():.2f} Hz")
        panel.errorbar((edges[1:] + edges[:-1]) / 2, rate, np.sqrt(square), fmt="none", ecolor="gray", lw=0.8)
    panel.set(xlabel="cos zenith", ylabel="Hz per bin")
    panel.set(title=f"{len(chain.event_cosine)} triggered events; median error {zenith_error:.1f}°")
    panel.legend(fontsize=8)


def fluxes(panel, spectrum):
    """Draw muons and neutrinos at the surface."""
    neutrinos(panel)
    energy = spectrum["energy"]
    scale = energy**3 / spectrum["width"] / spectrum["acceptance"]
    label = "muons at the surface, this chain (cos θ > 0.8)"
    panel.errorbar(energy, scale * spectrum["rate"], scale * np.sqrt(spectrum["square"]), fmt="o", label=label)
    smooth = np.geomspace(300, 3e4, 60)
    panel.loglog(smooth, smooth**3 * published.surface_muons(smooth, 0.9), "k--", label="Gaisser formula (PDG)")
    panel.set(xlabel="energy (GeV)", ylabel="E³ × flux (GeV² cm⁻² s⁻¹ sr⁻¹)", title="Fluxes at the surface")
    panel.legend(fontsize=8)


def neutrinos(panel):
    """Draw the atmospheric neutrinos of M. Honda et al., Phys. Rev. D 75 (2007) 043006, where nuflux is installed."""
    try:
        import nuflux  # has no wheel for ARM or NumPy 2
    except ImportError:
        return
    flux = nuflux.makeFlux("honda2006")
    energy = np.geomspace(30, 1e6, 80)
    total = np.array([sum(flux.getFlux(kind, e, 0.5) for kind in (nuflux.NuMu, nuflux.NuMuBar)) for e in energy])
    panel.loglog(energy, energy**3 * total, label="nuflux: Honda 2006 νμ+ν̄μ at 60°")
