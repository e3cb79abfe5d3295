"""Shenzhen tuberculosis set (Jaeger et al. 2014): labels from file names, sex and age from readings.

The last digit of a file's name is the label. Readings give sex and age in many wordings; what cannot be understood
is unknown, never an error.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble
from ingest.archives.source import SourceRows, find_folder, list_names
from ingest.tables.files import open_table
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark
from ingest.tables.vocabulary import OLDEST
from shards.errors import DatasetError

LABEL = "Tuberculosis"

_LONGEST_READING = 1 << 16
_NAME = r"^(?P<patient>.+)_(?P<label>[01])$"
# `femal` occurs. Digits may follow at once (`Male35 yr`), letters may not (`malee` could be either).
_SEX = re.compile(r"(?<![a-z])(?:(?P<female>femal(?:e)?|f)|(?P<male>male|m))(?![a-z])", re.IGNORECASE)
_AGE = re.compile(
    r"(?<![\d.])(?P<number>\d{1,3}(?:\.\d+)?)\s*"
    r"(?:(?P<years>y(?:ears?|ea|rs?|s)?)|(?P<months>m(?:onths?|on|os?)?)|(?P<weeks>w(?:eeks?|ks?)?)|(?P<days>d(?:ays?)?))"
    r"(?![a-z])",
    re.IGNORECASE,
)
_A_YEAR = {"years": 1.0, "months": 12.0, "weeks": 365.25 / 7, "days": 365.25}
_PREFIXES = {"CHNCXR_": "shenzhen", "MCUCXR_": "montgomery"}


class Shenzhen:
    """CXR_png and, where it is there, ClinicalReadings."""

    variant = "shenzhen"
    title = "Shenzhen"
    prefix = "CHNCXR_"
    """How the archive's own names begin. Where both sets lie in one folder each reader takes its own images."""
    images = 662
    licence = (
        "National Library of Medicine, free for research; cite Jaeger et al., Quant Imaging Med Surg 2014;4(6):475-477"
    )
    label_names: tuple[str, ...] = (LABEL,)
    valid_fraction = 0.15
    test_fraction = 0.20
    stratify: str | None = LABEL

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError(f"{self.title} has no test release: leave --test-source out, --test-fraction carves one")
        folder = find_folder(source, "CXR_png", self.title)
        self.roots = {"source": folder}
        self._readings = folder / "ClinicalReadings"
        self._names = self._own(
            name
            for name in list_names(folder / "CXR_png")
            if name.lower().endswith((".png", ".jpg", ".jpeg")) and not name.startswith(".")  # Thumbs.db, ._ files
        )
        if not self._names:
            raise DatasetError(f"{folder / 'CXR_png'} holds neither PNG nor JPEG")

    def another_dataset(self) -> str | None:
        """Why this is not the archive, by the number of its images; None where it is."""
        found = len(self._names)
        return None if found == self.images else f"CXR_png has {found:,} images, {self.title} has {self.images:,}"

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the list of images and of all readings."""
        readings = hashlib.sha256()
        for name, text in self._texts().items():
            readings.update(f"{name}\0{text}\0".encode())
        return {
            "CXR_png": hashlib.sha256("\n".join(self._names).encode()).hexdigest(),
            "ClinicalReadings": readings.hexdigest(),
        }

    def read(self) -> SourceRows:
        """One row an image; a name that does not end in _0 or _1 is rejected."""
        names = pd.Series(self._names, dtype=object)
        stems = names.str.replace(r"\.[^.]*$", "", regex=True)
        parts = stems.str.extract(_NAME)
        texts = self._texts()
        described = [self.describe(texts.get(stem, "")) for stem in stems]
        rows = pd.DataFrame(
            {
                "key": stems,
                "patient_id": parts["patient"],
                "study_id": None,
                "projection": "frontal",
                "ap_pa": None,
                "sex": pd.Series([sex for sex, _ in described], dtype=object),
                "age": pd.Series([age for _, age in described], dtype="float32"),
                "split": "train",
                "source_split": None,
                "source_path": "CXR_png/" + names,
                "root": "source",
                "file": "CXR_png/" + names,
                "where": "CXR_png",
                LABEL: pd.to_numeric(parts["label"]).astype("float32"),
            }
        )
        mark(rows, parts["label"].isna(), Kind.LABEL, "the name does not end in _0 or _1")
        return assemble(rows, [], self.label_names)

    def describe(self, text: str) -> tuple[str | None, float | None]:
        """Sex and age in years from a reading."""
        return parse_reading(text)

    def _own(self, names: Iterable[str]) -> list[str]:
        """Those that are not of the other archive. Raises DatasetError where there are no others."""
        listed = list(names)
        foreign = {prefix: variant for prefix, variant in _PREFIXES.items() if prefix != self.prefix}
        own = [name for name in listed if not name.startswith(tuple(foreign))]
        if listed and not own:
            variant = next(variant for prefix, variant in foreign.items() if listed[0].startswith(prefix))
            raise DatasetError(f"{listed[0]} and all other images are of another archive: use --dataset {variant}")
        return own

    def _texts(self) -> dict[str, str]:
        """Readings by stem of their file, no more of each than says who the patient is."""
        if not self._readings.is_dir():
            return {}
        texts = {}
        for name in list_names(self._readings):
            if name.lower().endswith(".txt") and (self._readings / name).is_file():
                with open_table(self._readings / name) as file:
                    texts[name[: -len(".txt")]] = file.read(_LONGEST_READING).decode(errors="replace")
        return texts


def parse_reading(text: str) -> tuple[str | None, float | None]:
    """Sex (male, female) and age in years (months and days as fractions) from a reading's first line.

    A number without a unit is no age: it could be years, months or days.
    """
    line = next((line for line in text.lstrip("\ufeff").splitlines() if line.strip()), "")
    sexes = {"female" if match["female"] else "male" for match in _SEX.finditer(line)}
    match = _AGE.search(line)
    if match is None:
        return (sexes.pop() if len(sexes) == 1 else None), None
    unit = next(unit for unit in _A_YEAR if match[unit])
    age = float(match["number"]) / _A_YEAR[unit]
    sexes_before = {"female" if m["female"] else "male" for m in _SEX.finditer(line[: match.start()])} or sexes
    return (sexes_before.pop() if len(sexes_before) == 1 else None), (age if age <= OLDEST else None)
