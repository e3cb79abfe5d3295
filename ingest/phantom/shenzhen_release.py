"""A made-up Shenzhen set: one frontal a patient, half of them tuberculous, with readings in the wordings that occur.

Each image is a pure function of (seed, number), and of each two consecutive ones exactly one is tuberculous.
"""

from dataclasses import dataclass, replace

import numpy as np

from ingest.phantom.acquisition import Acquisition, sample_acquisition
from ingest.phantom.anatomy import Anatomy, sample_anatomy
from ingest.phantom.frontal import frontal
from ingest.phantom.places import Places
from ingest.phantom.thorax import RIGHT
from ingest.phantom.tuberculosis import has_cavity, tuberculous_sides, tuberculous_zone

MOST_IMAGES = 9_999
_STREAM = 4
_COLOUR_SHARE = 0.12


@dataclass(frozen=True)
class Case:
    """One image: its name without suffix, what is in it, and its reading."""

    name: str
    severity: dict[str, float]
    anatomy: Anatomy
    acquisition: Acquisition
    seed: int
    colour: bool
    reading: bytes

    def picture(self, full_size: bool) -> np.typing.NDArray[np.uint8]:
        """The picture, [H, W], or [H, W, 3] where the file is in colour (and grey all the same)."""
        size, oversampling = self.acquisition.film.size(full_size)
        grey = frontal(self.anatomy, self.acquisition, self.severity, self.seed, size, oversampling)
        return np.repeat(grey[..., None], 3, axis=2) if self.colour else grey


def plan_case(seed: int, number: int) -> Case:
    """Everything about image `number` (from 1) but the pixels."""
    pair = np.random.default_rng([seed, _STREAM, 0, (number - 1) // 2])
    tuberculous = (number % 2 == 0) == (pair.random() < 0.5)
    rng = np.random.default_rng([seed, _STREAM, 1, number])
    male = bool(rng.random() < 0.68)
    infant = rng.random() < 0.025
    years = float(rng.uniform(0.05, 1.9)) if infant else float(np.clip(rng.normal(36, 15), 3, 89))
    anatomy = sample_anatomy(rng, male, years)
    own = int(rng.integers(2**31))
    severity = {}
    if tuberculous:
        severity["Tuberculosis"] = float(rng.uniform(0.35, 1.0))
        if rng.random() < 0.1:
            severity["Pleural Effusion"] = float(rng.uniform(0.1, 0.7))
    acquisition = sample_acquisition(rng, "PA", screening=True)
    nearer = min(2.2, max(1.0, 12.0 / anatomy.thorax_half_width))  # small patients are shown larger
    acquisition = replace(acquisition, magnification=acquisition.magnification * nearer)
    colour = bool(rng.random() < _COLOUR_SHARE)
    reading = _reading(rng, male, years, severity, Places(own))
    return Case(f"CHNCXR_{number:04d}_{int(tuberculous)}", severity, anatomy, acquisition, own, colour, reading)


def _reading(rng: np.random.Generator, male: bool, years: float, severity: dict[str, float], places: Places) -> bytes:
    sex = "male" if male else "female"
    person = _infant(rng, sex, years) if years < 2 else _person(rng, sex, round(years))
    finding = _finding(rng, severity, places) if "Tuberculosis" in severity else "normal"
    newline = "\r\n" if rng.random() < 0.12 else "\n"
    end = "" if rng.random() < 0.15 else newline
    space = " " if rng.random() < 0.08 else ""
    return f"{person}{space}{newline}{finding}{end}".encode()


def _infant(rng: np.random.Generator, sex: str, years: float) -> str:
    if years < 0.25:
        return f"{sex} {round(years * 365)}days"
    months = round(years * 12)
    return f"{sex} {months}month" if rng.random() < 0.6 else f"{sex} {months} months"


def _person(rng: np.random.Generator, sex: str, years: int) -> str:
    draw = rng.random()
    if draw < 0.72:
        return f"{sex} {years}yrs"
    if draw < 0.82:
        return f"{sex.capitalize()}, {years} yrs"
    if draw < 0.89:
        return f"{sex.capitalize()}{years} yr"
    if draw < 0.96:
        return f"{sex} {years} yrs"
    return f"{sex.replace('female', 'femal')} {years}yrs"


def _finding(rng: np.random.Generator, severity: dict[str, float], places: Places) -> str:
    """A sentence about tuberculosis that is true of the picture."""
    sides, zone = tuberculous_sides(places), tuberculous_zone(places)
    side = "bilateral" if len(sides) == 2 else "right" if sides[0] == RIGHT else "left"
    secondary = "secondary " if rng.random() < 0.35 else ""
    if rng.random() < 0.06:
        return str(rng.choice(["STB", "PTB", "TB"]))
    if rng.random() < 0.5:
        text = f"{side} {secondary}PTB"
    elif rng.random() < 0.6:
        text = f"{secondary}PTB {' ' if rng.random() < 0.3 else ''}in the {side} {zone} field"
    else:
        text = f"{side} {zone} PTB"
    if has_cavity(places, severity["Tuberculosis"]):
        text += rng.choice([", with cavity formation", " with cavitation"])
    elif rng.random() < 0.1:
        text += " with fibrous changes"
    if "Pleural Effusion" in severity:
        wet = places.sides("Pleural Effusion")
        where = "bilateral" if len(wet) == 2 else "right" if wet[0] == RIGHT else "left"
        text += f",{' ' if rng.random() < 0.7 else ''}{where} pleurisy with pleural effusion"
    return text[0].upper() + text[1:] if rng.random() < 0.4 else text
