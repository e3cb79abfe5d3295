"""What stays the same in every study of a patient: proportions in centimetres, drawn once from a generator."""

from dataclasses import dataclass

import numpy as np

Generator = np.random.Generator


@dataclass(frozen=True)
class Anatomy:
    """Proportions of one patient, in centimetres unless said otherwise. Sides are the patient's own."""

    thorax_half_width: float
    lung_height: float  # apex to the right dome, in full inspiration
    apex_x: float
    shoulder: float  # 0 flat lateral wall of the upper lung .. 1 narrow
    dome_drop: float  # how much lower the left dome is
    dome_curve: float  # dome to costophrenic angle
    torso_depth: float
    wall: float  # soft tissue beside the ribs
    breast: float  # 0 for none
    rib_spacing: float
    rib_drop: float  # from the spine to the lateral wall
    rib_width: float
    rib_density: float  # relative
    clavicle_rise: float
    clavicle_y: float
    cardiothoracic_ratio: float  # in full inspiration, PA, without disease
    heart_axis: float  # 0 upright .. 1 lying
    mediastinum_half_width: float
    aortic_knob: float
    hilum_y: float
    vessels: float  # relative calibre
    scoliosis: float
    thoracic_depth: float  # front to back, for the lateral projection
    kyphosis: float
    gastric_bubble: float
    vessel_seed: int
    texture_seed: int


def sample_anatomy(rng: Generator, male: bool, age_years: float) -> Anatomy:
    """Anatomy of a patient; varies more between patients than any finding does. Children are small and broad."""
    growth = float(np.clip(0.42 + age_years / 28, 0.42, 1.0))
    child = 1 - growth
    old = float(np.clip((age_years - 40) / 50, 0, 1))
    size = growth * (1.0 if male else 0.91) * rng.normal(1.0, 0.05)
    stout = float(np.clip(rng.normal(0.45 + 0.2 * old, 0.22), 0, 1))

    def around(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.normal(), -2.2, 2.2))

    return Anatomy(
        thorax_half_width=size * around(13.6 + 0.8 * stout, 0.7),
        lung_height=size * around(22.3 - 2.6 * stout - 4 * child, 1.6),
        apex_x=size * around(5.6, 0.5),
        shoulder=around(0.5, 0.25),
        dome_drop=size * around(1.1, 0.8),
        dome_curve=size * around(4.6 - 1.0 * stout, 0.9),
        torso_depth=size * around(20 + 5.5 * stout, 1.2),
        wall=size * around(1.5 + 2.4 * stout, 0.4),
        breast=0.0 if male or age_years < 14 else float(np.clip(around(0.55, 0.35), 0, 1.4)),
        rib_spacing=size * around(2.28, 0.1),
        rib_drop=size * around(4.2 + 0.6 * old - 2.6 * child, 0.8),
        rib_width=size * around(1.05, 0.12),
        rib_density=around(1.0 - 0.25 * old, 0.15),
        clavicle_rise=size * around(1.2, 0.9),
        clavicle_y=size * around(2.6, 0.6),
        cardiothoracic_ratio=around(0.43 + 0.02 * old + 0.09 * child, 0.026),
        heart_axis=float(np.clip(around(0.35 + 0.5 * stout, 0.25), 0, 1)),
        mediastinum_half_width=size * around(2.7 + 0.3 * stout + 0.9 * child, 0.25),
        aortic_knob=size * (around(1.35, 0.2) + 0.7 * old * rng.random()),
        hilum_y=size * around(9.0 - 2 * child, 0.6),
        vessels=around(1.0, 0.16),
        scoliosis=float(rng.normal() * (0.25 + 0.4 * old * (rng.random() < 0.3))),
        thoracic_depth=size * around(21 + 3 * old, 1.4),
        kyphosis=around(0.5 + 0.8 * old, 0.35),
        gastric_bubble=float(rng.random()),
        vessel_seed=int(rng.integers(2**31)),
        texture_seed=int(rng.integers(2**31)),
    )
