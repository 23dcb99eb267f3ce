"""Step 1, the air shower (CORSIKA's role): cosmic rays interact with Sibyll 2.3d in the South Pole atmosphere.

Every hadron is followed until it is below threshold or has decayed; muons above it are kept at the ice surface.
"""

import math
from typing import NamedTuple

import chromo
import numpy as np
from chromo.common import CrossSectionData
from chromo.kinematics import FixedTarget, GeV

from arrays import load, parser, save
from geometry import CYLINDER_LENGTH, CYLINDER_RADIUS, CYLINDER_Z
from primaries import throw

THRESHOLD = 350.0  # GeV: nothing softer reaches 1450 m of ice
AIR_MASS = 24101.0  # mean mass of an air nucleus over a cross-section: g/cm2 times mb
NEVER = 1e9  # g/cm2

# PDG codes, masses in GeV and c tau in m (Particle Data Group).
MUON, PION, KAON, K_LONG, K_SHORT = 13, 211, 321, 130, 310
PROTON, NEUTRON = 2212, 2112
BARYONS = {PROTON, NEUTRON, 3122, 3112, 3222, 3212, 3322, 3312, 3334}
MASS = {MUON: 0.10566, PION: 0.13957, KAON: 0.49368, K_LONG: 0.49761, K_SHORT: 0.49761}
C_TAU = {PION: 7.8045, KAON: 3.711, K_LONG: 15.34, K_SHORT: 0.02684}


class Particle(NamedTuple):
    """A particle at a slant depth (g/cm2): energy in GeV, slopes to the shower axis, offset at the surface in m."""

    code: int
    energy: float
    depth: float
    slope_x: float = 0.0
    slope_y: float = 0.0
    x: float = 0.0
    y: float = 0.0


class Atmosphere:
    """The air along one zenith angle; heights are in m above the ice, slant depths in g/cm2."""

    def __init__(self, tables, cos_zenith):
        self.heights = tables["h"]
        self.log_depth = np.log(tables["X"])
        self.cos_zenith = cos_zenith
        self.ground = tables["X"][0] / cos_zenith

    def height(self, depth):
        """Return the height at a slant depth."""
        log_depth = math.log(depth * self.cos_zenith)
        return float(np.interp(log_depth, self.log_depth[::-1], self.heights[::-1])) - self.heights[0]

    def depth(self, height):
        """Return the slant depth at a height."""
        return math.exp(float(np.interp(height + self.heights[0], self.heights, self.log_depth))) / self.cos_zenith


class Sibyll(chromo.models.Sibyll23d):
    """Sibyll 2.3d without what chromo does around each interaction and a shower has no use for: four fifths of the time.

    That is the cross-section of the collision (ours are in the tables), the beam as the first particles of the event,
    and the search for particles that should have decayed. The numbers drawn stay the same.
    """

    _restore_beam_and_history = False

    def _cross_section(self, kin=None, max_info=False):
        return CrossSectionData()

    def _validate_decay(self, event):
        pass


class Showers:
    """Follows showers one by one; `interactions` counts the calls of the hadronic model."""

    def __init__(self, tables, rng):
        self.tables = tables
        self.rng = rng
        self.log_energy = np.log(tables["Eh"])
        self.model = Sibyll(FixedTarget(1e6 * GeV, "p", "N14"), seed=int(rng.integers(1, 2**31 - 1)))
        self.interactions = 0

    def muons(self, nucleons, energy, cos_zenith):
        """Return the muons of one shower at the surface. A nucleus is its nucleons (superposition)."""
        air = Atmosphere(self.tables, cos_zenith)
        proton_share = 0.5 if nucleons > 1 else 1.0
        stack = [
            Particle(PROTON if self.rng.random() < proton_share else NEUTRON, energy / nucleons, 1e-3)
            for _ in range(nucleons)
        ]
        found = []
        while stack:
            particle = stack.pop()
            if abs(particle.code) == MUON:
                found.append(particle)
            else:
                stack.extend(self.follow(particle, air))
        return found

    def follow(self, particle, air):
        """Return what comes of a hadron: its decay, its interaction, or nothing if it meets the ground first."""
        interacts = particle.depth + self.rng.exponential(self.interaction_length(particle))
        decays = self.decay_depth(particle, air)
        end = min(interacts, decays)
        if end > air.ground:
            return []
        if decays < interacts:
            return self.decay(particle, end, air)
        return self.interact(particle, end, air)

    def interaction_length(self, particle):
        """Return the interaction length in air, g/cm2."""
        cross_section = self.tables["xs"][projectile(particle.code)]
        return AIR_MASS / float(np.interp(math.log(particle.energy), self.log_energy, cross_section))

    def decay_depth(self, particle, air):
        """Return the slant depth at which a meson would decay."""
        kind = abs(particle.code)
        if kind in BARYONS:
            return NEVER
        length = self.rng.exponential(C_TAU[kind] * particle.energy / MASS[kind])
        height = air.height(particle.depth) - length * air.cos_zenith
        return air.depth(height) if height > 0 else NEVER

    def decay(self, particle, depth, air):
        """Return the decay product that is followed, if it is above threshold."""
        fraction, transverse, kind = decay_product(abs(particle.code), self.rng)
        energy = particle.energy * fraction
        if energy < THRESHOLD:
            return []
        turn = 2 * math.pi * self.rng.random()
        slope_x = particle.slope_x + transverse / energy * math.cos(turn)
        slope_y = particle.slope_y + transverse / energy * math.sin(turn)
        if kind == MUON:
            loss = float(np.interp(energy, self.tables["E"], self.tables["air_loss"]))
            energy -= loss * (air.ground - depth) * 10  # g/cm2 to kg/m2
            if energy < THRESHOLD:
                return []
        code = kind if particle.code > 0 else -kind
        return [moved(particle, code, energy, depth, slope_x, slope_y, air)]

    def interact(self, particle, depth, air):
        """Return the hadrons and muons above threshold of an interaction with nitrogen."""
        self.model.kinematics = FixedTarget(particle.energy * GeV, projectile_name(particle.code), "N14")
        self.interactions += 1
        final = next(iter(self.model(1))).final_state()
        keep = final.en > THRESHOLD
        products = []
        for pid, energy, px, py in zip(final.pid[keep], final.en[keep], final.px[keep], final.py[keep], strict=True):
            code = followed_code(int(pid))
            if code:
                slope_x = particle.slope_x + px / energy
                slope_y = particle.slope_y + py / energy
                products.append(moved(particle, code, float(energy), depth, slope_x, slope_y, air))
        return products


def projectile(code):
    """Return the row of the cross-section table: 0 baryon, 1 pion, 2 kaon."""
    kind = abs(code)
    if kind in BARYONS:
        return 0
    return 1 if kind == PION else 2


def projectile_name(code):
    """Return the projectile as the hadronic model calls it; neutral kaons count as positive ones."""
    return (
        "n" if code == NEUTRON else "p",
        "pi+" if code > 0 else "pi-",
        "K+" if code > 0 else "K-",
    )[projectile(code)]


def followed_code(code):
    """Return as what a secondary is followed, 0 for not at all."""
    kind = abs(code)
    if kind in BARYONS:
        return NEUTRON if kind == NEUTRON else PROTON
    return code if kind in C_TAU or kind == MUON else 0


def decay_product(kind, rng):
    """Return energy fraction, transverse momentum (GeV) and kind of the one product that is followed.

    Branching ratios of the Particle Data Group, one after the other for charged kaons.
    """
    branch = rng.random()
    if kind == PION or (kind == KAON and branch < 0.6356):
        return two_body_muon(MASS[kind], rng)
    if (kind == KAON and branch < 0.6691) or (kind == K_LONG and branch < 0.2704):
        return rng.beta(2, 3), 0.15 * rng.random(), MUON  # muon, pion, neutrino
    if kind == KAON and branch < 0.8758:
        return 0.5 + 0.4 * (rng.random() - 0.5), 0.15, PION  # two pions
    if kind in (KAON, K_LONG):
        return 1 / 3, 0.08, PION  # three pions
    return 0.5 + 0.45 * (2 * rng.random() - 1), 0.15, PION  # K short: two pions


def two_body_muon(mass, rng):
    """Return the muon of a decay to muon and neutrino: flat in energy between (m_mu / m)^2 and 1."""
    least = (MASS[MUON] / mass) ** 2
    fraction = least + (1 - least) * rng.random()
    momentum = (mass * mass - MASS[MUON] ** 2) / (2 * mass)
    cosine = (2 * (fraction - least) / (1 - least)) - 1
    return fraction, momentum * math.sqrt(max(0.0, 1 - cosine**2)), MUON


def moved(parent, code, energy, depth, slope_x, slope_y, air):
    """Return a product of a particle, with the offset that its change of direction makes at the surface."""
    distance = air.height(depth) / air.cos_zenith
    x = parent.x + (slope_x - parent.slope_x) * distance
    y = parent.y + (slope_y - parent.slope_y) * distance
    return Particle(code, energy, depth, slope_x, slope_y, x, y)


def impact(cos_zenith, azimuth, rng):
    """Return a point (m) and a direction: uniform on the projection of the generation cylinder along the direction."""
    sine = math.sqrt(1 - cos_zenith * cos_zenith)
    direction = np.array([-sine * math.cos(azimuth), -sine * math.sin(azimuth), -cos_zenith])
    cap = math.pi * CYLINDER_RADIUS**2 * cos_zenith
    side = 2 * CYLINDER_RADIUS * CYLINDER_LENGTH * sine
    if rng.random() < cap / (cap + side):
        radius = CYLINDER_RADIUS * math.sqrt(rng.random())
        turn = 2 * math.pi * rng.random()
        top = CYLINDER_Z + CYLINDER_LENGTH / 2
        return np.array([radius * math.cos(turn), radius * math.sin(turn), top]), direction
    offset = CYLINDER_RADIUS * (2 * rng.random() - 1)
    across = np.array([-math.sin(azimuth), math.cos(azimuth)])
    toward = np.array([math.cos(azimuth), math.sin(azimuth)])  # the side it comes from
    x, y = offset * across + math.sqrt(CYLINDER_RADIUS**2 - offset * offset) * toward
    return np.array([x, y, CYLINDER_Z + CYLINDER_LENGTH * (rng.random() - 0.5)]), direction


def main():
    """Throw showers and store their muons."""
    arguments = parser(__doc__, "tables")
    arguments.add_argument("--nevents", type=int, default=2500, help="showers to throw (default 2500)")
    args = arguments.parse_args()
    rng = np.random.default_rng([args.seed, 1])
    showers = Showers(load(args.tables), rng)
    pdg, nucleons, energy, cos_zenith, azimuth = throw(args.nevents, rng)
    points = np.empty((args.nevents, 3))
    directions = np.empty((args.nevents, 3))
    muons = []
    for event in range(args.nevents):
        points[event], directions[event] = impact(cos_zenith[event], azimuth[event], rng)
        for muon in showers.muons(nucleons[event], energy[event], cos_zenith[event]):
            sign = -1 if muon.code > 0 else 1
            muons.append((event, muon.energy, muon.x, muon.y, muon.slope_x, muon.slope_y, sign))
    rows = np.array(muons, float).reshape(-1, 7)
    events = rows[:, 0].astype(np.int32)
    summary = {
        "primaries": args.nevents,
        "interactions": showers.interactions,
        "muons": len(rows),
        "showers_with_muons": len(np.unique(events)),
    }
    save(
        args,
        summary,
        pdg=pdg,
        E=energy,
        A=nucleons,
        cosz=cos_zenith,
        phi=azimuth,
        point=points,
        dir=directions,
        nevents=np.array([args.nevents]),
        mu_ev=events,
        mu_E=rows[:, 1],
        mu_xy=rows[:, 2:4],
        mu_t=rows[:, 4:6],
        mu_q=rows[:, 6].astype(np.int8),
    )


if __name__ == "__main__":
    main()
