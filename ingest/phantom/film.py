"""From a map of attenuation to the picture a reader sees: scatter, noise, window, shutters and letters."""

from typing import cast

import cv2
import numpy as np

from ingest.phantom.acquisition import Acquisition
from ingest.phantom.canvas import Canvas
from ingest.phantom.raster import Field, blurred, exponential, logarithm, resized, square_root

Picture = np.typing.NDArray[np.uint8]  # [H, W]

_NOISE_AT_UNIT_DOSE = 0.0042  # of the square root of the open field's exposure, at 390 pixels over the film
_LETTERS = ("L", "R", "L", "R", "PORTABLE", "AP ERECT", "L", "R")
_LEVELS_A_WINDOW = 204  # of 256, so that what is denser than the window is not cut off at once


def expose(canvas: Canvas, attenuation: Field, acquisition: Acquisition, width: int, height: int) -> Picture:
    """The 8-bit picture [height, width] of an attenuation map [H, W] (natural logarithm), bright where dense.

    Intensities are averaged over the supersampled pixels, scatter is added, quantum noise follows the square root
    of the exposure, and the logarithm is displayed through a window that is set on the picture itself.
    """
    a = acquisition
    primary = exponential(-attenuation)
    scattered = canvas.reduced(8).soften(resized(primary, -(-canvas.width // 8), -(-canvas.height // 8)), 4.5)
    exposure = resized(primary, width, height, cv2.INTER_AREA if canvas.width > width else cv2.INTER_CUBIC)
    exposure += np.float32(a.scatter) * resized(scattered, width, height) + np.float32(0.002)
    exposure *= _heel(a, width, height)
    grain = np.random.default_rng(a.noise_seed).standard_normal((height, width), np.float32)
    grain = np.float32(0.75) * grain + np.float32(0.9) * blurred(grain, 0.8)  # neighbours share a little light
    exposure += grain * square_root(exposure) * np.float32(_NOISE_AT_UNIT_DOSE * (width / 390 / a.dose) ** 0.5)
    density = -logarithm(np.maximum(exposure, np.float32(1e-4)))
    density += np.float32(a.sharpening) * (density - blurred(density, width / 130))
    return _marked(_displayed(density, a), a)


def _heel(a: Acquisition, width: int, height: int) -> Field:
    """Relative exposure [H, W] of a tube that is not level."""
    angle = np.deg2rad(a.heel_angle)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return 1 + np.float32(a.heel) * (x + y)


def _displayed(density: Field, a: Acquisition) -> Picture:
    """Through a window set on the middle of the film, then a film's response: a toe, a straight part, a shoulder."""
    height, width = density.shape
    body = density[height // 8 : -height // 8 : 5, width // 8 : -width // 8 : 5]
    low, high = (float(level) for level in np.percentile(body, [4, 97]))
    start, span = low + (a.window_low - 0.22) * (high - low) - 0.2, 1.3 * (high - low) * a.window_width
    level = np.clip((density - np.float32(start)) * np.float32(_LEVELS_A_WINDOW / span), 0, 255)
    curve = (np.arange(256) / _LEVELS_A_WINDOW) ** (1.1 * a.gamma)
    response = np.clip(np.rint(232 * np.tanh(1.15 * curve) / np.tanh(1.3)), 0, 255).astype(np.uint8)
    return cast(Picture, cv2.LUT(np.rint(level).astype(np.uint8), response))


def _marked(picture: Picture, a: Acquisition) -> Picture:
    height, width = picture.shape
    if a.marker >= 0:
        text, (across, down) = _LETTERS[a.marker], a.marker_spot
        size = height / (670 if len(text) > 1 else 340)
        thick = max(1, round(2.2 * size))
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
        x = width * across if text == "R" else width * (1 - across) - length
        spot = (int(x), int(height * (down + 0.05)))
        cv2.putText(picture, text, spot, cv2.FONT_HERSHEY_SIMPLEX, size, 250, thick, cv2.LINE_AA)
    left, top, right, bottom = (round(edge * width / a.film.width_cm) for edge in a.shutters)
    shut = np.ones(picture.shape, bool)
    shut[top : height - bottom, left : width - right] = False
    picture[shut] = 4
    return picture
