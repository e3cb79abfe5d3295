"""Train a probe or fine-tune a network, from the options to the finished model directory.

Reads from top to bottom; how each method trains is in training.downstream.probe and training.downstream.finetune.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from training.downstream.finetune import finetune as train_network
from training.downstream.model_directory import Results, already_done, load_results
from training.downstream.options import FinetuneOptions, ProbeOptions, SupervisedOptions
from training.downstream.probe import probe as fit_regressions
from training.downstream.start import Start, begin, recorded_options
from training.processes.devices import available_threads

Options = TypeVar("Options", bound=SupervisedOptions)


@dataclass(frozen=True)
class Fitted:
    """A finished model directory. results: label -> split ("valid", "test") -> `Auroc`, None without the split.

    new: whether this call made it; otherwise the folder held the model of these options already, and was left alone.
    """

    folder: Path
    results: Results
    new: bool


def probe(options: ProbeOptions) -> Fitted:
    """Fit a linear probe on a frozen backbone, and write the model directory `options.output`.

    One logistic regression a label on the label fraction of the train split; its regularisation is chosen on held-out
    training patients. Embeddings of every split are kept in the cache. Sets torch's number of CPU threads.
    Raises SubsetError for labels that the dataset does not have or of which the fraction has one class only,
    WeightsError or RunError for a backbone that cannot be read, ResumeError for a folder that holds anything else.
    """
    return _fit(options, fit_regressions)


def finetune(options: FinetuneOptions) -> Fitted:
    """Fine-tune a backbone end to end, and write the model directory `options.output`.

    Trains on one augmented view of each image of the label fraction, and keeps the epoch with the best mean AUROC on
    the valid split (on held-out training patients where there is none). Sets torch's number of CPU threads.
    SIGUSR1, SIGTERM, the first Ctrl-C and a time limit stop it after the step under way: it writes a checkpoint and
    raises PreemptedError, and the same call resumes it. Raises as `probe` does, TrainingError for a loss that is not a
    number, and RunError for a folder that another process trains in.
    """
    return _fit(options, train_network)


def _fit(options: Options, train: Callable[[Start, Options], Results]) -> Fitted:
    torch.set_num_threads(options.threads or available_threads())
    start = begin(options)
    if already_done(options.output, recorded_options(start, options)):
        return Fitted(options.output, load_results(options.output), new=False)
    return Fitted(options.output, train(start, options), new=True)
