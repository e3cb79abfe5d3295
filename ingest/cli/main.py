"""`cxr-ingest`: registers the commands, one file each."""

import click

from ingest.cli.build_shards import build_shards
from ingest.cli.finalize import finalize
from ingest.cli.info import info
from ingest.cli.make_phantom import make_phantom
from ingest.cli.preview import preview
from ingest.cli.verify import verify
from shards.terminal.group import Group, version_option


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@version_option
def main() -> None:
    """Turn raw chest radiograph datasets into shards, and look at what came out."""


for command in (make_phantom, build_shards, finalize, verify, info, preview):
    main.add_command(command)


if __name__ == "__main__":
    main()
