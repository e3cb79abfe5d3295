"""`cxr-train cache`."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import OptionsCommand, option, takes


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """Options of `cxr-train cache`."""

    list_entries: bool = option(False, names=("--list",), help="List what is in the cache, with sizes.")
    clear: bool = option(False, help="Remove the embeddings in the cache; they are computed again when needed.")
    cache: Path | None = option(
        None,
        click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder of the cache.",
        unset="$CXR_CACHE or ~/.cache/cxr",
    )


@click.command(cls=OptionsCommand)
@takes(CacheOptions)
def cache(options: CacheOptions) -> None:
    """List or clear the cache of embeddings.

    Reads the folder in which `cxr-train probe` keeps the embeddings of whole splits. --list writes a line each to the
    terminal; --clear removes them, with what killed commands left behind, and nothing else from that folder. Do not
    clear the cache while a probe is running.
    """
    from shards.terminal.progress import size_in_units
    from training.downstream.embedding_cache import cache_entries, clear_cache, default_cache

    if options.list_entries == options.clear:
        raise click.UsageError("give either --list or --clear")
    folder = options.cache or default_cache()
    entries = clear_cache(folder) if options.clear else cache_entries(folder)
    if options.list_entries:
        for entry in entries:
            unfinished = "  (unfinished)" if entry.unfinished else ""
            click.echo(f"{size_in_units(entry.size):>9}  {entry.dataset} {entry.split}  {entry.path.name}{unfinished}")
    total = size_in_units(sum(entry.size for entry in entries))
    what = "removed" if options.clear else "in all"
    click.echo(f"{folder}: {len(entries)} embeddings, {total} {what}.")
