"""The detector and the ice above it: 19 strings of 30 optical modules, 1450 to 1943 m below the surface."""

import numpy as np

# Lengths in m. z points up, zero at the ice surface.
SPACING = 125.0
MODULES = 30
MODULE_TOP = -1450.0
MODULE_STEP = 17.0

# Showers are thrown at this cylinder around the detector.
CYLINDER_RADIUS = 320.0
CYLINDER_LENGTH = 600.0
CYLINDER_Z = -1696.5

# Densities in kg/m3, and the thickness of the firn in m, as in IceCube's MuonGun.
RHO_FIRN = 832.0
RHO_ICE = 917.0
FIRN = 200.0

LIGHT_SPEED = 0.299792458  # m/ns

trapezoid = getattr(np, "trapezoid", None) or np.trapz  # NumPy 2 has the new name


def strings():
    """Return the positions of the strings, shape (19, 2), in m: a hexagon of triangles."""
    first = np.array([SPACING, 0.0])
    second = np.array([SPACING / 2, SPACING * 3**0.5 / 2])
    places = [i * first + j * second for i in range(-2, 3) for j in range(-2, 3) if abs(i + j) <= 2]
    return np.array(sorted(map(tuple, places)))


def modules():
    """Return the positions of all modules, shape (570, 3), in m: string by string, from the top."""
    heights = MODULE_TOP - MODULE_STEP * np.arange(MODULES)
    return np.array([(x, y, z) for x, y in strings() for z in heights])
