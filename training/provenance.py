"""Say where weights come from, as backbone.json, model.json and predictions hold it: copied from one to the next."""

from typing import TypedDict, cast

from shards.json_value import JsonValue


class StartOf(TypedDict):
    """The run that weights are the start of: digest of the run's own backbone, and the run's seed."""

    digest: str | None
    seed: int | None


class Provenance(TypedDict, total=False):
    """Where weights come from.

    method: moco-v2, moco-v1, none (not pretrained by this project) or another program's. init: random, imagenet or the
    name of a file. seed, steps: None where not known. statistics_from_batches: number of batches that a run with
    BatchNorm ema took its first statistics of. datasets: name and digest of each. row_filter: the
    condition that restricted their rows; absent: all rows. imported_from, imported_sha256: of a published checkpoint.
    start_of: of the start of a run.
    """

    method: str
    init: str | None
    seed: int | None
    epochs: int
    steps: int | None
    statistics_from_batches: int
    datasets: list[dict[str, str]]
    row_filter: str
    imported_from: str
    imported_sha256: str
    start_of: StartOf


def read_provenance(value: JsonValue) -> Provenance:
    """Read where weights come from. Keys of other releases and programs stay in it. Raises JsonError for no object."""
    value.fields()
    return cast(Provenance, dict(value.value))
