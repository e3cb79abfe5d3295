"""What differs from one exposure to the next: projection, pose, breath, technique, film size and markings."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Generator = np.random.Generator
Projection = Literal["PA", "AP", "LATERAL"]


@dataclass(frozen=True)
class Film:
    """A detector: width and height in cm, and in pixels of the small and of the full release."""

    width_cm: float
    height_cm: float
    small: tuple[int, int]
    full: tuple[int, int]

    def size(self, full: bool) -> tuple[tuple[int, int], float]:
        """Width and height in pixels, and the pixels of the maps for one of the picture, along an edge.

        Below 1 for the full release: its detail is finer than the anatomy's, and only the noise needs all of it.
        """
        return (self.full, 0.5) if full else (self.small, 1.5)


LANDSCAPE = Film(43.0, 35.3, (390, 320), (2828, 2320))
PORTRAIT = Film(35.3, 43.0, (320, 390), (2320, 2828))
SQUARE = Film(37.0, 35.4, (334, 320), (2422, 2320))
SCREENING = Film(40.0, 38.9, (400, 389), (3000, 2919))
SCREENING_TALL = Film(37.8, 40.0, (378, 400), (2835, 3000))


@dataclass(frozen=True)
class Acquisition:
    """One exposure. Lengths in centimetres at the detector, angles in degrees."""

    projection: Projection
    film: Film
    shift_x: float
    shift_y: float
    rotation: float  # in the plane of the film
    turn: float  # of the patient about the long axis: centimetres that a structure moves for each cm of depth
    breath: float  # lung height relative to full inspiration
    magnification: float
    heart_magnification: float
    arms: float  # 0 hanging in the field .. 1 out of it
    scatter: float
    dose: float  # relative; sensor noise falls with its square root
    window_low: float
    window_width: float
    gamma: float
    sharpening: float
    heel: float  # relative change of exposure over the film, along x and y
    heel_angle: float
    shutters: tuple[float, float, float, float]  # left, top, right, bottom, 0 where none
    monitored: bool  # leads of a monitor lie on the patient
    marker: int  # which letters, -1 for none
    marker_spot: tuple[float, float]  # place as a share of the film
    noise_seed: int


def sample_acquisition(rng: Generator, projection: Projection, screening: bool = False) -> Acquisition:
    """An exposure. Breath, pose and technique are worse at the bedside (AP) and better in a screening room."""
    bedside = projection == "AP"
    spread = 0.85 if screening else 1.0 + 0.5 * bedside
    film = _film(rng.random(), projection, screening)

    def around(mean: float, deviation: float) -> float:
        return float(mean + spread * deviation * np.clip(rng.normal(), -2.2, 2.2))

    shutters = np.where(rng.random(4) < (0.3 if screening else 0.22), rng.uniform(0.2, 1.6, 4), 0.0)
    return Acquisition(
        projection=projection,
        film=film,
        shift_x=around(0, 0.8),
        shift_y=around(0, 1.2),
        rotation=around(0, 1.6),
        turn=around(0, 0.035),
        breath=float(np.clip(around(0.84 if bedside else 0.96, 0.05), 0.66, 1.05)),
        magnification=around(1.08 if bedside else 1.06, 0.04),
        heart_magnification=around(1.05 if bedside else 1.0, 0.02),
        arms=float(rng.random() * (0.5 if bedside else 1.0)),
        scatter=float(np.exp(around(np.log(0.35 if bedside else 0.2), 0.3))),
        dose=float(np.exp(around(np.log(0.7 if bedside else 1.2), 0.4))),
        window_low=around(0.0, 0.05),
        window_width=around(1.0, 0.08),
        gamma=float(np.exp(around(0.0, 0.16))),
        sharpening=float(rng.random() * 0.7),
        heel=around(0.0, 0.12),
        heel_angle=float(rng.random() * 360),
        shutters=(float(shutters[0]), float(shutters[1]), float(shutters[2]), float(shutters[3])),
        monitored=bedside and bool(rng.random() < 0.35),
        marker=int(rng.integers(-1, 8 if bedside else 4)),
        marker_spot=(float(rng.uniform(0.03, 0.12)), float(rng.uniform(0.03, 0.2))),
        noise_seed=int(rng.integers(2**31)),
    )


def _film(draw: float, projection: Projection, screening: bool) -> Film:
    if screening:
        return SCREENING if draw < 0.7 else SCREENING_TALL
    if projection == "AP":
        return LANDSCAPE if draw < 0.78 else SQUARE if draw < 0.92 else PORTRAIT
    if projection == "PA":
        return LANDSCAPE if draw < 0.35 else SQUARE if draw < 0.6 else PORTRAIT
    return PORTRAIT if draw < 0.75 else SQUARE
