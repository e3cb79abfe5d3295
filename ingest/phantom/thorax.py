"""Outlines of the frontal chest in body centimetres: lungs, heart, mediastinum, torso. Geometry only, no pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.phantom.acquisition import Acquisition
from ingest.phantom.anatomy import Anatomy
from ingest.phantom.canvas import Points, ellipse, mirrored, spline

RIGHT, LEFT = -1, 1
"""Sides of the patient as signs of x: the patient's right is on the image's left."""


@dataclass(frozen=True)
class Thorax:
    """A patient's frontal chest in one breath and pose. Built by `pose`; disease changes it by `replace`."""

    anatomy: Anatomy
    half_width: float
    height: float  # apex to the right dome
    turn: float
    cardiothoracic_ratio: float
    mediastinum_half_width: float
    raised: tuple[float, float] = (0.0, 0.0)  # centimetres that the right and the left dome stand higher
    drawn: float = 0.0  # centimetres that the mediastinum is shifted to the patient's left

    def wall(self, y: npt.ArrayLike) -> Points:
        """Inner half width of the rib cage at height y (0 at the apex)."""
        level = np.clip(np.asarray(y, np.float64) / self.height, -0.2, 1.4)
        upper = (1 - (1 - np.clip(level / 0.75, 0, 1)) ** 2) ** (0.55 + 0.2 * self.anatomy.shoulder)
        half: Points = self.half_width * (0.42 + 0.58 * upper) * (1 - 0.05 * np.clip(level - 0.75, 0, 1))
        return half

    def dome(self, side: int) -> float:
        """Height of the diaphragm's dome."""
        return self.height + (self.anatomy.dome_drop if side == LEFT else 0.0) - self.raised[side == LEFT]

    def angle(self, side: int) -> tuple[float, float]:
        """The costophrenic angle: distance from the midline, and height."""
        y = self.height + self.anatomy.dome_curve + 0.4 * (side == LEFT)
        return float(self.wall(y)) - 0.15, y

    def lung(self, side: int) -> Points:
        """Outline [n, 2] of a hemithorax, behind heart and mediastinum too; the costophrenic angle is sharp."""
        a, dome = self.anatomy, self.dome(side)
        tip_x, tip_y = self.angle(side)
        levels = np.linspace(0.98, 0.09, 9) * tip_y
        lateral = np.stack([self.wall(levels), levels], -1)
        apex = [(a.apex_x + 1.5, 0.45), (a.apex_x, 0.0), (a.apex_x - 1.6, 0.55)]
        medial = [(2.7, 2.4), (2.2, 6.0), (1.9, 0.55 * dome), (1.7, dome - 1.0)]
        wall = spline([(tip_x, tip_y), *map(tuple, lateral[1:]), *apex, *medial], 6)
        peak = 0.47 * tip_x
        floor = spline(
            [
                (1.7, dome + 0.9),
                (0.6 * peak, dome + 0.25),
                (peak, dome),
                (0.75 * tip_x, dome + 0.28 * (tip_y - dome)),
                (0.92 * tip_x, dome + 0.66 * (tip_y - dome)),
                (tip_x, tip_y),
            ],
            8,
        )
        return mirrored(np.vstack([wall, floor]), side)

    def heart(self) -> Points:
        """The cardiac silhouette [n, 2]; its width is the ratio times the inner width of the thorax."""
        width = self.cardiothoracic_ratio * 2 * self.half_width
        right, left = 0.335 * width - self._front, 0.665 * width + self._front
        top, base = 0.42 * self.height, self.height + 1.6
        tall, lying = base - top, self.anatomy.heart_axis
        return spline(
            [
                (-0.62 * right, top + 0.02 * tall),
                (-0.95 * right, top + 0.42 * tall),
                (-right, top + 0.66 * tall),
                (-0.8 * right, base - 0.06 * tall),
                (-0.2 * right, base + 0.5),
                (0.5 * left, base + 0.7),
                (0.88 * left, base - (0.02 - 0.04 * lying) * tall),
                (left, base - (0.2 - 0.05 * lying) * tall),
                (0.86 * left, top + (0.5 + 0.08 * lying) * tall),
                (0.6 * left, top + (0.24 + 0.06 * lying) * tall),
                (0.42 * left, top + 0.03 * tall),
                (0.0, top - 0.08 * tall),
            ],
            6,
            closed=True,
        )

    def mediastinum(self) -> list[Points]:
        """Overlapping outlines: the central column with the great veins, and the aorta with its knob."""
        half, shift = self.mediastinum_half_width, self._front
        knob, knob_y = self.anatomy.aortic_knob, 0.24 * self.height
        top, low = -3.0, self.height + 2
        column = spline(
            [
                (-0.95 * half + shift, top),
                (-0.85 * half + shift, 1.0),
                (-0.98 * half + shift, 0.2 * self.height),
                (-1.0 * half + shift, 0.42 * self.height),
                (-0.8 * half, low),
                (0.8 * half, low),
                (0.85 * half + shift, 0.42 * self.height),
                (0.8 * half + shift, 0.16 * self.height),
                (0.85 * half + shift, 0.5),
                (1.0 * half + shift, top),
            ],
            8,
        )
        arch = ellipse((0.55 * half + shift, knob_y), (0.62 * knob + 1.0, 0.95 * knob), 10)
        pulmonary = ellipse((0.62 * half + shift, knob_y + 2.9), (1.7, 1.5), 35)
        return [column, arch, pulmonary]

    def descending_aorta(self) -> Points:
        """Its left border is a line behind the heart: an open curve [n, 2] along the axis."""
        knob_y = 0.24 * self.height
        return spline([(1.5, knob_y), (1.7, 0.5 * self.height), (1.1, self.height), (0.3, self.height + 5)], 8)

    def torso(self) -> Points:
        """Outline [n, 2] of neck, shoulders and trunk, open to the film's edges at top and bottom."""
        a = self.anatomy
        chest = self.half_width + a.wall
        scale = self.half_width / 13.6
        half = spline(
            [
                (5.2 * scale, -22.0),
                (5.3 * scale, -9.0),
                (6.8 * scale, -5.5),
                (12.5 * scale, -3.2),
                (18.0 * scale, -0.8),
                (21.0 * scale, 2.5),
                (chest + 4.5 * scale, 8.0),
                (chest + 0.6 * scale, 14.0),
                (chest, self.height),
                (chest + 0.3 * a.wall, self.height + 8),
                (chest + 0.6 * a.wall, self.height + 25),
            ],
            6,
        )
        return np.vstack([mirrored(half, RIGHT), half[::-1]])

    @property
    def _front(self) -> float:
        """Shift of structures in front of the axis of rotation, to the patient's left."""
        return self.turn * 6 + self.drawn


def pose(anatomy: Anatomy, acquisition: Acquisition) -> Thorax:
    """The chest of a patient without disease in the breath and pose of an exposure."""
    shallow = 1 - acquisition.breath
    height = anatomy.lung_height * acquisition.breath
    return Thorax(
        anatomy=anatomy,
        half_width=anatomy.thorax_half_width * (1 - 0.08 * shallow),
        height=height,
        turn=acquisition.turn,
        cardiothoracic_ratio=anatomy.cardiothoracic_ratio * acquisition.heart_magnification * (1 + 0.3 * shallow),
        mediastinum_half_width=anatomy.mediastinum_half_width * (1 + 0.8 * shallow),
    )
