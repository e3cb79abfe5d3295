"""`cxr-ingest verify`: are a dataset's bytes those that were written?"""

from pathlib import Path

import click

from ingest.workers import cores


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--decode", is_flag=True, help="Also decode every JPEG.")
def verify(out: Path, decode: bool) -> None:
    """Read every byte of the dataset in OUT and compare it with dataset.json and samples.parquet.

    Writes nothing. Names the shard and, where it can be told, the key of what is damaged; exit status 1 then.
    """
    from shards.dataset import open_dataset
    from shards.terminal import progress
    from shards.verify import verify as find_damage

    dataset = open_dataset(out, check_shards=False)
    total = sum(shard.bytes for shard in dataset.shards)
    with progress(total, "Verifying", "B") as bar:
        findings = find_damage(
            out,
            decode=decode,
            threads=cores(),
            on_shard=lambda shard: bar.advance(shard.bytes),
        )
    for finding in findings:
        click.echo(f"{finding.shard}{f' {finding.key}' if finding.key else ''}: {finding.message}")
    if findings:
        raise click.ClickException(f"{len(findings)} findings in {out}")
    click.echo(f"{out}: {len(dataset.shards)} shards, {len(dataset.samples):,} samples, all as written.")
