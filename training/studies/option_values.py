"""Check the options of a study file as the command itself would: names and values of probe, finetune and pretrain."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click

from shards.terminal.options import takes
from shards.terminal.recipes import checked_recipe_value, read_recipe
from training.downstream.options import FinetuneOptions, ProbeOptions
from training.pretraining.options import PretrainOptions
from training.studies.entries import Entry

METHODS: dict[str, type[ProbeOptions] | type[FinetuneOptions]] = {"probe": ProbeOptions, "finetune": FinetuneOptions}
"""The methods of a study and the options of each."""

OF_THE_CELL = frozenset(
    {
        *("shards", "output", "backbone_from", "backbone", "image_size", "at", "preprocessing", "allow_unfinished"),
        *("seen_patients", "weights", "seed", "label_fraction", "fraction_of", "draw"),
    }
)
"""Options that the study file says in places of its own."""
OF_THE_MACHINE = frozenset(
    {"cache", "device", "threads", "stage_to", "time_limit", "checkpoint_minutes", "checkpoint_every"}
)
"""Options of one machine, which the command line of `cxr-train sweep` says."""
OF_THE_RUN = frozenset({"shards", "output", "seed"})
"""Options of a pretraining run that the study file says in places of its own."""


@dataclass(frozen=True)
class Settings:
    """Options that a study file gives, checked, in the order of the file: (option, value) each."""

    values: tuple[tuple[str, Any], ...] = ()

    def __or__(self, other: "Settings") -> "Settings":
        """These, with those of another place in front."""
        return Settings(tuple({**dict(self.values), **dict(other.values)}.items()))

    def of(self, method: str) -> "Settings":
        """Those that a method has."""
        own = _parameters(METHODS[method])
        return Settings(tuple((name, value) for name, value in self.values if name in own))


def method_settings(entry: Entry, method: str) -> Settings:
    """Check the options of one method. Raises StudyError for a name or value that it does not take."""
    return _checked(entry.fields(optional=None).values(), entry, (METHODS[method],))


def shared_settings(entries: Iterable[Entry], place: Entry) -> Settings:
    """Check options that override those of the methods: each must be one of some method."""
    return _checked(entries, place, tuple(METHODS.values()))


def pretrain_settings(entries: Iterable[Entry], place: Entry) -> Settings:
    """Check what differs from a recipe of `cxr-train pretrain`."""
    return _checked(entries, place, (PretrainOptions,), OF_THE_RUN | OF_THE_MACHINE)


def recipe_settings(entry: Entry) -> Settings:
    """Read the recipe of `cxr-train pretrain` that an entry names: a file beside the study file, or a shipped one."""
    name = entry.text()
    beside = entry.file.parent / name
    try:
        content = read_recipe(str(beside) if beside.is_file() else name)
    except click.BadParameter as error:
        raise entry.error(error.message) from error
    values = [Entry(value, entry.file, f"{entry.key}: {name}: {key}") for key, value in content.items()]
    return pretrain_settings(values, entry)


def _checked(
    entries: Iterable[Entry],
    place: Entry,
    options: tuple[type[Any], ...],
    taken: frozenset[str] = OF_THE_CELL | OF_THE_MACHINE,
) -> Settings:
    found = {}
    for entry in entries:
        name = entry.key.rpartition(".")[2].rpartition(": ")[2].replace("-", "_")
        known = [parameters[name] for kind in options if name in (parameters := _parameters(kind))]
        if not known or name in taken or name.startswith("allow_"):
            names = sorted({name for kind in options for name in _parameters(kind) if name not in taken})
            raise entry.error(
                f"there is no such option here; there are {', '.join(n for n in names if not n.startswith('allow_'))}"
            )
        found[name] = _value(known[0], entry)
    return Settings(tuple(found.items()))


def _value(parameter: click.Parameter, entry: Entry) -> Any:  # noqa: ANN401 - of the option's type
    context = click.Context(click.Command("study"))
    try:
        checked = checked_recipe_value(parameter, entry.value, context)
        value = None if checked is None else parameter.type_cast_value(context, checked)
    except click.BadParameter as error:
        raise entry.error(error.message) from error
    return tuple(value) if isinstance(value, list) else value


def _parameters(options: type[Any]) -> dict[str, click.Parameter]:
    """The click parameters of an options dataclass by field name, made once."""
    if options.__name__ not in _MADE:
        command = click.command()(takes(options)(lambda options: options))
        _MADE[options.__name__] = {str(parameter.name): parameter for parameter in command.params}
    return _MADE[options.__name__]


_MADE: dict[str, dict[str, click.Parameter]] = {}
