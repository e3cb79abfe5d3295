"""Read what results, thresholds and calibrations say of the truth and the predictions that they come from."""

from evaluation.statistics.result import ArmInput
from evaluation.tables.sidecar import Sidecar
from evaluation.tables.truth import TruthOrigin
from shards.json_value import JsonValue


def truth_origin_from_json(entry: JsonValue) -> TruthOrigin:
    """Read what TruthOrigin.as_json wrote."""
    return TruthOrigin(
        path=entry.at("path").text(),
        rows=entry.at("rows").whole(),
        sha256=entry.optional("sha256", JsonValue.text),
        name=entry.optional("name", JsonValue.text),
        digest=entry.optional("digest", JsonValue.text),
        split=entry.optional("split", JsonValue.text),
        row_filter=entry.optional("row_filter", JsonValue.text),
        images=entry.optional("images", JsonValue.whole),
    )


def arm_input_from_json(entry: JsonValue) -> ArmInput:
    """Read what input_as_json wrote."""
    sidecar = entry.nullable("sidecar", JsonValue.fields)
    return ArmInput(
        path=entry.at("path").text(),
        sha256=entry.nullable("sha256", JsonValue.text),
        draw=entry.at("draw").whole(),
        pretraining_seed=entry.nullable("pretraining_seed", JsonValue.whole),
        sidecar=None if sidecar is None else Sidecar(JsonValue(entry.at("sidecar").value)),
    )
