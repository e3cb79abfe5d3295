"""Where a patient's disease sits: the same in every study, however far it has gone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ingest.phantom.thorax import LEFT, RIGHT

Severity = Mapping[str, float]
"""Label (and `Tuberculosis`) to severity, 0 absent .. 1 gross; absent ones may be left out."""


@dataclass(frozen=True)
class Places:
    """One generator a finding, from the patient's seed: no finding moves because another is absent."""

    seed: int

    def rng(self, finding: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *finding.encode()])

    def sides(self, finding: str, both: float = 0.35) -> tuple[int, ...]:
        """The sides affected, the worse one first. both: how often it is both."""
        draw = self.rng(f"{finding} side").random()
        return (RIGHT, LEFT) if draw < both else (RIGHT,) if draw < both + 0.55 * (1 - both) else (LEFT,)
