"""Outlines of the chest from its left side in body centimetres. x is depth here: sternum negative, back positive."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.phantom.acquisition import Acquisition
from ingest.phantom.anatomy import Anatomy
from ingest.phantom.canvas import Points, spline


@dataclass(frozen=True)
class Profile:
    """A patient's chest in one breath. Built by `profile_of`."""

    depth: float  # inner, sternum to the back of the lungs
    height: float  # apex to dome
    kyphosis: float
    heart_size: float  # 1 for a cardiothoracic ratio of 0.45
    angle_drop: float  # dome to posterior costophrenic angle

    def back(self, y: npt.ArrayLike) -> Points:
        """Depth of the front of the spine at height y."""
        level = np.clip(np.asarray(y, np.float64) / self.height + 0.15, -0.3, 1.5)
        front: Points = 0.27 * self.depth + 1.9 * self.kyphosis * np.sin(np.pi * level / 1.15)
        return front

    def lung(self, lower: float) -> Points:
        """Outline [n, 2] of a lung whose dome stands `lower` by so much; the posterior angle is sharp."""
        d, h = self.depth, self.height + lower
        level = np.linspace(1.02, 0.06, 7) * h
        gutter = self.back(level) + 0.2 * d * np.clip(1.6 * level / h, 0.25, 1)
        tip = (float(gutter[0]) - 0.3, h + self.angle_drop)
        front = (-0.46 * d, h + 1.6)
        upper = [(0.12 * d, -0.6), (-0.08 * d, 0.9), (-0.27 * d, 4.0), (-0.42 * d, 0.42 * h), (-0.47 * d, 0.78 * h)]
        dome = [(-0.3 * d, h + 0.3), (-0.06 * d, h), (0.16 * d, h + 1.1), (0.33 * d, h + 3.1)]
        wall = spline(np.vstack([[tip], np.stack([gutter, level], -1), upper, [front]]), 6)
        return np.vstack([wall, spline([front, *dome, tip], 7)])

    def heart(self) -> Points:
        """The heart on the front of the diaphragm, with the great vessels above it: [n, 2]."""
        d, h, size = self.depth, self.height, self.heart_size
        behind = (0.52 * size - 0.47) * d
        front = [(-0.47 * d, h + 1.5), (-0.465 * d, 0.8 * h), (-0.41 * d, 0.63 * h)]
        top = [(-0.27 * d, (0.53 - 0.04 * size) * h), (-0.1 * d, 0.4 * h), (0.02 * d, 0.36 * h), (0.08 * d, 0.46 * h)]
        back = [(behind, 0.7 * h), (behind + 0.03 * d, 0.86 * h), (behind - 0.06 * d, h + 1.5)]
        return spline([*front, *top, *back], 6, closed=True)

    def torso(self, wall: float) -> Points:
        """Outline [n, 2] of neck and trunk. wall: thickness of the soft tissue."""
        d, h = self.depth, self.height
        level = np.linspace(-2, h + 28, 12)
        back = np.stack([self.back(level) + 0.21 * d + 1.5 + 0.8 * wall, level], -1)
        neck = [(-0.3 * d, -14.0), (-0.26 * d, -6.0), (-0.34 * d, -1.0)]
        chest = [(-0.5 * d - 0.5 * wall, 0.3 * h), (-0.55 * d - 0.7 * wall, 0.8 * h), (-0.56 * d - 0.9 * wall, h + 28)]
        nape = [(0.2 * d, -14.0), (0.26 * d, -6.0)]
        return np.vstack([spline([*neck, *chest], 6), spline(np.vstack([nape, back]), 4)[::-1]])

    def effusion(self, extent: float) -> Points:
        """Fluid behind, up to a meniscus: [n, 2]."""
        low = self.height + self.angle_drop
        high = 2.0 + 9.5 * extent**1.2
        back = float(self.back(low)) + 0.25 * self.depth
        rise, away = np.array([1.35, 1.0, 0.55, 0.4]), np.array([-2.0, 1.5, 6.0, 14.0])
        meniscus = spline(np.stack([back - away, low - rise * high], -1), 8)
        return np.vstack([meniscus, [(back - 14, low + 6), (back + 2, low + 6)]])


def profile_of(anatomy: Anatomy, acquisition: Acquisition, cardiomegaly: float) -> Profile:
    ratio = anatomy.cardiothoracic_ratio + (0.05 + 0.1 * cardiomegaly if cardiomegaly else 0.0)
    return Profile(
        depth=anatomy.thoracic_depth,
        height=anatomy.lung_height * acquisition.breath,
        kyphosis=anatomy.kyphosis,
        heart_size=ratio / 0.45,
        angle_drop=anatomy.dome_curve * 1.25,
    )
