"""Draw shapes, given in centimetres of the body, on a raster with antialiasing.

Body coordinates: x to the image's right (the patient's left) from the midline, y down from the top of the lungs.
"""

import functools
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from ingest.phantom.raster import Field, Mask, blurred, resized, square_root

Points = npt.NDArray[np.float64]  # [..., 2], x and y in centimetres

_SUBPIXEL_BITS = 4
_THINNEST = 1.37  # pixels that an antialiased line of thickness 1 covers across, measured


class Canvas:
    """Geometry of a raster: its size, resolution, position over the body and rotation. Methods return new rasters."""

    def __init__(
        self, width: int, height: int, pixels_per_cm: float, centre: tuple[float, float], rotation: float = 0.0
    ) -> None:
        """width, height: pixels. centre: the point of the body at the centre of the raster. rotation: degrees."""
        self.width, self.height, self.pixels_per_cm = width, height, pixels_per_cm
        self._centre, self._rotation = centre, rotation
        angle = np.deg2rad(rotation)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self._scaled: Points = turn * pixels_per_cm
        self._offset: Points = np.array([width - 1, height - 1]) / 2 - np.asarray(centre) @ self._scaled

    def reduced(self, factor: int) -> "Canvas":
        """Return a canvas over the same region at about 1/factor of the resolution, for smooth structures."""
        width, height = -(-self.width // factor), -(-self.height // factor)
        return Canvas(width, height, self.pixels_per_cm * width / self.width, self._centre, self._rotation)

    def grid(self) -> tuple[Field, Field]:
        """Compute the body coordinates x and y of every pixel, each [H, W] in centimetres."""
        inverse, origin = self._inverse()
        columns, rows = np.arange(self.width)[None, :], np.arange(self.height)[:, None]
        x = columns * inverse[0, 0] + rows * inverse[1, 0] + origin[0]
        y = columns * inverse[0, 1] + rows * inverse[1, 1] + origin[1]
        return x.astype(np.float32), y.astype(np.float32)

    def blank(self) -> Mask:
        return np.zeros((self.height, self.width), np.uint8)

    def fill(self, *outlines: Points, value: int = 255, onto: Mask | None = None) -> Mask:
        """Fill closed outlines, each [n, 2], on `onto` (or a blank raster), which is returned."""
        target = self.blank() if onto is None else onto
        for outline in outlines:
            cv2.fillPoly(target, [self._fixed(outline)], value, cv2.LINE_AA, _SUBPIXEL_BITS)
        return target

    def stroke(
        self, curves: Points | list[Points], width_cm: float, value: float = 255, onto: Mask | None = None
    ) -> Mask:
        """Draw open curves ([n, 2] each, or one array [curves, n, 2]) as lines on `onto`, which is returned.

        OpenCV's lines are 1.4, 3.4, 5.4 ... pixels wide. For a width between two of these the value is changed instead,
        so that the attenuation, width times value, is that of the width asked for.
        """
        target = self.blank() if onto is None else onto
        width = width_cm * self.pixels_per_cm
        step = max(0, round((width - _THINNEST) / 2))
        shade = min(255, round(value * width / (_THINNEST + 2 * step)))
        fixed = list(self._fixed(curves)) if isinstance(curves, np.ndarray) else [self._fixed(c) for c in curves]
        cv2.polylines(target, fixed, False, shade, max(1, 2 * step), cv2.LINE_AA, _SUBPIXEL_BITS)
        return target

    def soften(self, raster: Mask | Field, sigma_cm: float) -> Field:
        """Blur a raster of this region by a Gaussian and resize it to this resolution; 255 of a mask becomes 1.

        Wide blurs are computed at low resolution.
        """
        field = raster * np.float32(1 / 255) if raster.dtype == np.uint8 else cast(Field, raster)
        sigma = sigma_cm * self.pixels_per_cm
        factor = max(1, int(sigma / 2.5))
        if factor > 1:
            field = resized(field, round(self.width / factor), round(self.height / factor), cv2.INTER_AREA)
        if sigma / factor > 0.3:
            field = blurred(field, sigma / factor)
        return self.enlarge(field)

    def enlarge(self, field: Field) -> Field:
        """Resize a raster of the same region to this resolution."""
        return resized(field, self.width, self.height)

    def sampled(self, tile: Field, cm_per_cell: float, corner: tuple[float, float]) -> Field:
        """Sample a repeating tile [h, w], whose first cell lies at the body point `corner`, at every pixel."""
        inverse, origin = self._inverse()
        matrix = np.column_stack([inverse.T, origin - np.asarray(corner)]) / cm_per_cell
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(tile, matrix, (self.width, self.height), flags=flags, borderMode=cv2.BORDER_WRAP)
        return cast(Field, warped)

    def bulge(self, mask: Mask, radius_cm: float) -> Field:
        """Relative thickness, 0..1, of a rounded body with this silhouette: a quarter circle inwards from the edge."""
        _, inside = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)
        depth = cast(Field, cv2.distanceTransform(inside, cv2.DIST_L2, 3))
        np.minimum(depth * np.float32(1 / (radius_cm * self.pixels_per_cm)), 1, out=depth)
        return square_root(depth * (2 - depth))

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        return np.rint((points @ self._scaled + self._offset) * (1 << _SUBPIXEL_BITS)).astype(np.int32)

    def _inverse(self) -> tuple[Points, Points]:
        """Matrix and origin that map pixels to body coordinates."""
        inverse = np.linalg.inv(self._scaled)
        return np.asarray(inverse), np.asarray(-self._offset @ inverse)


def spline(points: Points | list[tuple[float, float]], steps: int = 10, closed: bool = False) -> Points:
    """Interpolate points [n, 2] by a smooth curve (Catmull-Rom), [m, 2]."""
    knots = np.asarray(points, np.float64)
    if closed:
        padded = np.vstack([knots[-1:], knots, knots[:2]])
    else:
        padded = np.vstack([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    corners = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], 1)  # [segments, 4, 2]
    curve: Points = (_catmull_rom(steps) @ corners).reshape(-1, 2)
    return curve if closed else np.vstack([curve, knots[-1:]])


def ellipse(centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0, steps: int = 40) -> Points:
    """Outline of an ellipse, [steps, 2]. tilt: degrees."""
    angle = np.deg2rad(tilt)
    cosine, sine = np.cos(angle), np.sin(angle)
    axes = np.array([[radii[0] * cosine, radii[0] * sine], [-radii[1] * sine, radii[1] * cosine]])
    return np.asarray(_circle(steps) @ axes + np.asarray(centre))


def closed_curve(outline: Points) -> Points:
    """Close an outline for `stroke`: repeat its first point at the end."""
    return np.vstack([outline, outline[:1]])


def mirrored(points: Points, side: int) -> Points:
    """Mirror points of the patient's left half (x >= 0) to the right half where side is -1."""
    return np.asarray(points * np.array([side, 1.0]))


@functools.cache
def _catmull_rom(steps: int) -> Points:
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    curve: Points = np.concatenate([t**0, t, t**2, t**3], 1) @ basis
    return curve


@functools.cache
def _circle(steps: int) -> Points:
    t = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], -1)
