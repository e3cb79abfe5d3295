"""`cxr-ingest verify`: check that a dataset's bytes are those that were written."""

import click

from ingest.inspection.options import VerifyOptions
from ingest.workers import cores
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(VerifyOptions)
def verify(options: VerifyOptions) -> None:
    """Read every byte of the dataset in OUT and compare it with dataset.json and samples.parquet.

    Every row is compared with the JSON of its sample in the tar too, so that a dataset of somebody else's is one.

    Names the shard and, where it is known, the key of each damaged sample; exit status 1 then, unless all of it is
    quarantined. Writes nothing but, with --quarantine, quarantine.json: in OUT, or in the folder that CXR_QUARANTINE
    names where OUT cannot be written. Copy a damaged shard again and delete that file to have its samples back.
    """
    from shards.format.dataset import open_dataset
    from shards.format.quarantine import Quarantined, write_quarantine
    from shards.format.verify import verify as find_damage
    from shards.terminal.progress import progress

    out = options.out
    dataset = open_dataset(out, check_shards=False)
    total = sum(shard.bytes for shard in dataset.shards)
    with progress(total, "Verifying", "B") as bar:
        findings = find_damage(
            out,
            decode=options.decode,
            quick=options.quick,
            threads=options.workers or cores(),
            on_shard=lambda shard: bar.advance(shard.bytes),
        )
    for finding in findings:
        click.echo(f"{finding.shard}{f' {finding.key}' if finding.key else ''}: {finding.message}")
    left_out = set(dataset.quarantine)
    unreadable = {key: Quarantined(key, f.shard, f.message) for f in findings if (key := f.unreadable) is not None}
    if options.quarantine and not unreadable.keys() <= left_out:
        path = write_quarantine(out, dataset.name, dataset.digest, unreadable.values())
        click.echo(f"{path}: {len(unreadable.keys() - left_out)} samples added; every command leaves them out.")
        left_out |= unreadable.keys()
    remaining = sum(finding.unreadable not in left_out for finding in findings)
    if remaining:
        raise click.ClickException(f"{remaining} findings in {out} that no quarantine mends")
    if findings:
        click.echo(f"{out}: {len(dataset.shards)} shards, {len(left_out):,} samples quarantined, all else as written.")
        return
    click.echo(f"{out}: {len(dataset.shards)} shards, {len(dataset.samples):,} samples, all as written.")
