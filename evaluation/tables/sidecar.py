"""Read what stands beside predictions in `<file>.json`: how they were made, and by which model."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.tables.table_files import TableError
from shards.input_files import read_regular
from shards.json_value import JsonError, JsonValue, parse_json


@dataclass(frozen=True)
class Sidecar:
    """The sidecar of a file of predictions. content: all of it, as a result repeats it."""

    content: JsonValue

    def stated(self, key: str, *below: str) -> JsonValue | None:
        """What it says of the predictions, else of their model; None where it says nothing.

        below: keys inside the value.
        """
        holder = self.content
        if key not in holder.value:
            model = holder.find("model")
            if model is None:
                return None
            holder = model
        return holder.find(key, *below)


def read_sidecar(path: Path) -> Sidecar | None:
    """Read the sidecar of a table, None where there is none. Raises TableError for one that is no JSON object."""
    sidecar = path.with_name(path.name + ".json")
    if not sidecar.is_file():
        return None
    try:
        content = parse_json(read_regular(sidecar))
    except (JsonError, OSError) as error:
        raise TableError(f"{sidecar} is {error}. Write the predictions again, or remove it.") from error
    if not isinstance(content.value, dict):
        raise TableError(f"{sidecar} holds no JSON object. Write the predictions again, or remove it.")
    return Sidecar(content)


def stated(sidecar: Sidecar | None, key: str, *below: str) -> JsonValue | None:
    """What a sidecar states, None where there is no sidecar."""
    return None if sidecar is None else sidecar.stated(key, *below)
