"""Predict splits with trained models, compare the predictions with the truth, and write the report.

Each function takes the dataclass that also builds its command's options, so that defaults and meanings are those of
`cxr-eval`. `import evaluation` loads no torch: names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from shards.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from evaluation.compare_files import bootstrap
    from evaluation.embedding import embed
    from evaluation.model_options import EmbedOptions, PredictOptions
    from evaluation.predictions import predict
    from evaluation.statistics.options import BootstrapOptions
    from evaluation.tables.table import TableError
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "evaluation.embedding": ("embed",),
            "evaluation.model_options": ("EmbedOptions", "PredictOptions"),
            "evaluation.predictions": ("predict",),
            "evaluation.statistics.options": ("BootstrapOptions",),
            "evaluation.tables.table": ("TableError",),
            "evaluation.compare_files": ("bootstrap",),
        },
    )

__all__ = [
    "BootstrapOptions",
    "EmbedOptions",
    "PredictOptions",
    "TableError",
    "bootstrap",
    "embed",
    "predict",
]
