"""Write a backbone's features of a dataset, or of image files, to a Zarr group."""

from pathlib import Path

import pandas as pd

from evaluation.file_predictions import UNKNOWN
from evaluation.image_files import decoded_files
from evaluation.model_options import EmbedOptions
from evaluation.tables.identifiers import PATH
from shards.durable import write_atomically
from shards.errors import SubsetError
from shards.format.dataset import open_dataset
from shards.format.subsets import left_out, select
from shards.loading.placement import Placement
from shards.selection.row_filter import filtered
from training.downstream.embeddings import refuse_other_content
from training.downstream.features import embed as write_features
from training.downstream.start import backbone_for
from training.processes.devices import available_threads, choose_device


def embed(options: EmbedOptions) -> int:
    """Write the features of a split, of every sample, or of files; returns their number.

    Raises SubsetError where there are no samples, TrainingError where the output holds anything but embeddings.
    """
    shards = options.source()
    if shards is None:
        return _embed_files(options)
    dataset = filtered(open_dataset(shards), options.row_filter, (options.split,))
    backbone = backbone_for(dataset, options)
    rows = select(dataset, options.split)
    if rows.empty:
        raise SubsetError(f"{dataset.root} has no samples to embed, or not in that --split")
    refuse_other_content(options.output)
    where = Placement(choose_device(options.device), 0, options.threads or available_threads())
    seen = backbone.seen
    remarks = {
        "left_out": left_out(dataset, options.split),
        "seen_patients": {
            "listed": len(seen.patients.drop_duplicates()),
            "declared": list(seen.declared),
            "unknown": list(seen.unknown),
        },
    }
    write_features(backbone, dataset, rows, options.output, where, remarks=remarks)
    return len(rows)


def _embed_files(options: EmbedOptions) -> int:
    """Embed files; `<output>.csv` beside the group says which sample_id is which file."""
    if options.split is not None:
        raise SubsetError("files are of no split: leave --split out")
    where = Placement(choose_device(options.device), 0, options.threads or available_threads())
    refuse_other_content(options.output)
    names_path = options.output.with_name(options.output.name + ".csv")
    _refuse_other_table(names_path)
    wanted = {"short_side": options.short_side, "threads": where.threads}
    with decoded_files(options.files, png_range=options.png_range, **wanted) as files:
        backbone = backbone_for(files.dataset, options)
        remarks = {**files.described(), "patients": UNKNOWN}
        write_features(backbone, files.dataset, files.rows, options.output, where, remarks=remarks)
        columns = {"sample_id": files.rows["sample_id"], PATH: files.rows["source_path"], "sha256": list(files.sha256)}
        table = pd.DataFrame(columns)
    with write_atomically(names_path) as file:
        file.write(table.to_csv(index=False).encode())
    return len(table)


def _refuse_other_table(path: Path) -> None:
    """Raise SubsetError for a file that no earlier call has written."""
    header = f"sample_id,{PATH},sha256\n".encode()
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            if file.readline(len(header)) == header:
                return
    raise SubsetError(f"{path} is there and names no embedded files. Remove it, or name another --output.")
