"""`leopard curate`: make, check and look at instruction data.

Only wires parts together; the work is done in `leopard.curation`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from leopard.cli.curate_convert import convert

app = typer.Typer(
    no_args_is_help=True,
    help="Make instruction data: documents from facts, questions with proven answers.",
    epilog="From nothing to a dataset: docs/curation.md.",
)

Out = Annotated[Path, typer.Option("--out", help="Folder for the shards.")]
Shards = Annotated[Path, typer.Argument(help="Folder of shards.")]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="Settings of leopard: leopard-instruct, nano, smoke."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings of your own.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override one setting: --set max_pages=2")
]
NumSamples = Annotated[int, typer.Option("--samples", help="Number of samples.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Another seed, other samples.")]
ShardSize = Annotated[int, typer.Option("--shard-size", help="Samples per shard.")]
SplitName = Annotated[
    str | None, typer.Option("--split", help="Only this split: train, val or test.")
]


def register(parent: typer.Typer) -> None:
    """Add the `curate` commands to the command line."""
    parent.add_typer(app, name="curate")


@app.command()
def plan(
    out: Out,
    preset: PresetName = None,
    config: ConfigFile = None,
    samples: NumSamples = 1000,
    seed: Seed = None,
    shard_size: ShardSize = 500,
    split: SplitName = None,
    overrides: Overrides = None,
) -> None:
    """Write the plan of a set: which samples go into which shard.

    Needed before several ranks start together; `synth` makes its own plan otherwise.

    Example: leopard curate plan --preset nano --out data/nano --samples 20000
    """
    from leopard.cli.curate_parts import make_plan
    from leopard.curation.plan import save_plan

    made = make_plan((preset, config, overrides, seed), samples, shard_size, split)
    save_plan(made, out)
    typer.echo(
        f"{made.num_samples} samples in {len(made.units)} shards planned in {out} "
        f"(content {made.settings.content_hash})"
    )


@app.command()
def synth(
    out: Out,
    preset: PresetName = None,
    config: ConfigFile = None,
    samples: NumSamples = 1000,
    seed: Seed = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    shard_size: ShardSize = 500,
    split: SplitName = None,
    overrides: Overrides = None,
    executor: Annotated[str, typer.Option(help="local, ray, or rank.")] = "local",
    rank: Annotated[int, typer.Option(help="With --executor rank: number of this rank.")] = 0,
    world: Annotated[int, typer.Option(help="With --executor rank: number of ranks.")] = 1,
    address: Annotated[
        str | None, typer.Option(help="With --executor ray: address of the cluster.")
    ] = None,
) -> None:
    """Make synthetic documents with proven questions, as vector shards.

    Runs again where it stopped: finished shards are kept, the others are made anew, and the rows
    are the same whatever the executor, the number of processes and the shard size.

    Example: leopard curate synth --preset nano --out data/nano --samples 20000 --workers 2

    SLURM: --executor rank --rank $SLURM_PROCID --world $SLURM_NTASKS
    """
    from leopard.cli._progress import progress
    from leopard.cli.curate_parts import choose_executor, make_plan
    from leopard.curation.plan import save_plan
    from leopard.curation.work import make_shard

    made = make_plan((preset, config, overrides, seed), samples, shard_size, split)
    save_plan(made, out)
    runner, units = choose_executor(executor, made.units, workers, (rank, world), address)
    done = set(made.finished(out))
    todo = [unit for unit in units if unit not in done]
    with progress("samples", sum(unit.stop - unit.start for unit in units)) as advance:
        advance(sum(unit.stop - unit.start for unit in units if unit in done))
        for _, rows in runner.map(partial(make_shard, made, folder=out.resolve()), todo):
            advance(rows)
    typer.echo(f"{made.num_samples} samples in {len(made.units)} shards: {out}")


@app.command()
def status(folder: Shards) -> None:
    """Say how much of a planned set is there, and what was rejected on the way.

    Example: leopard curate status data/nano
    """
    from collections import Counter

    from leopard.curation.plan import load_plan
    from leopard.schema.shards import read_info

    made = load_plan(folder)
    done = list(made.finished(folder))
    rows = sum(unit.stop - unit.start for unit in done)
    typer.echo(f"{rows} of {made.num_samples} samples in {len(done)} of {len(made.units)} shards")
    rejects = Counter[str]()
    for unit in done:
        rejects.update(read_info(folder / unit.shard_name).rejects)
    for reason, count in rejects.most_common():
        typer.echo(f"{count:8}  rejected {reason}")


@app.command()
def verify(folder: Shards) -> None:
    """Prove every answer again, from the stored PDFs and programs alone.

    Exit code 1 if any answer is wrong.

    Example: leopard curate verify data/nano
    """
    from leopard.cli._progress import progress
    from leopard.curation.verify import verify_folder
    from leopard.schema.shards import read_info, shard_paths

    with progress(
        "samples", sum(read_info(shard).rows for shard in shard_paths(folder))
    ) as advance:
        verdict = verify_folder(folder, advance)
    typer.echo(
        f"{verdict.num_questions} questions of {verdict.num_samples} samples: "
        f"{sum(verdict.errors.values())} wrong, {verdict.num_unverifiable} without a program"
    )
    for line in verdict.examples:
        typer.echo(line)
    if verdict.errors:
        raise typer.Exit(1)


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(help="Folder of a planned set.")],
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of a sample.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the PDF and the pages.")],
) -> None:
    """Rebuild one sample from its id: the PDF, its pages as PNG, the record as JSON.

    Example: leopard curate render data/nano nano-2-0-17 --out /tmp/sample
    """
    from leopard.curation.rebuild import rebuild, write_sample

    made = rebuild(folder, identity)
    for path in write_sample(made, out):
        typer.echo(path)


@app.command()
def export(
    folder: Shards,
    out: Annotated[Path, typer.Option("--out", help="New folder.")],
    style: Annotated[
        str, typer.Option("--format", help="hf, llava, cauldron, webdataset or leopard.")
    ] = "hf",
) -> None:
    """Write samples with pictures in a format that others read; drop lists are applied.

    Example: leopard curate export data/nano --format llava --out data/nano-llava
    """
    from leopard.curation.exports import export_folder
    from leopard.curation.quality import read_drops

    drops = read_drops(folder)
    count = export_folder(folder, out, style, drops)
    typer.echo(f"{count} samples as {style} in {out}; {len(drops)} on drop lists")


app.command()(convert)


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="File or folder in one of the formats.")],
    out: Out,
    style: Annotated[
        str, typer.Option("--format", help="hf, llava, cauldron, webdataset or leopard.")
    ],
    shard_size: ShardSize = 500,
) -> None:
    """Read a local copy in another format into pixel shards; bad records are counted by reason.

    Example: leopard curate import ~/Leopard-Instruct --format leopard --out data/published
    """
    from leopard.curation.imports import import_into

    report = import_into(source, style, out, shard_size)
    typer.echo(f"{report.num_samples} samples in {out}")
    for reason, count in report.rejects.most_common():
        typer.echo(f"{count:8}  left out: {reason}")


@app.command()
def dedup(folder: Shards) -> None:
    """Find samples that repeat another one, over all shards, and write a drop list.

    Example: leopard curate dedup data/nano
    """
    from leopard.curation.quality import duplicates_in, write_drops

    found = duplicates_in(folder)
    path = write_drops(folder, "dedup", found.drops)
    typer.echo(
        f"{len(found.drops)} duplicates among {found.num_samples:,} samples, "
        f"{found.num_exact} of them exact: {path}"
    )


@app.command()
def decontaminate(
    folder: Shards,
    against: Annotated[
        list[Path], typer.Option(help="Folder of images and .jsonl files with question, answer.")
    ],
    allow: Annotated[bool, typer.Option(help="Exit with 0 although leaks were found.")] = False,
) -> None:
    """Find samples that repeat evaluation data, and write a drop list.

    Exit code 1 if there were any, unless --allow.

    Example: leopard curate decontaminate data/nano --against eval/docvqa
    """
    from collections import Counter

    from leopard.curation.quality import contaminated_in, load_evaluation_set, write_drops

    drops: dict[str, str] = {}
    for path in against:
        found = contaminated_in(folder, load_evaluation_set(path))
        typer.echo(f"{path}: {len(found)} leaks {dict(Counter(found.values()))}")
        drops |= found
    write_drops(folder, "decontaminate", drops)
    if drops and not allow:
        raise typer.Exit(1)


@app.command(name="filter")
def filter_(
    folder: Shards,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file: languages, lengths, refusals.")
    ] = None,
) -> None:
    """Find samples in another language, too short or long, or refusing; write a drop list.

    Example: leopard curate filter data/nano --config configs/filter.toml
    """
    from leopard.config import load
    from leopard.curation.filters import FilterSettings, filtered_in
    from leopard.curation.quality import write_drops

    settings = FilterSettings() if config is None else load(FilterSettings, config)
    drops, reasons = filtered_in(folder, settings)
    typer.echo(f"{len(drops)} samples to leave out: {write_drops(folder, 'filter', drops)}")
    for reason, count in reasons.most_common():
        typer.echo(f"{count:8}  {reason}")


@app.command()
def mix(
    config: Annotated[Path, typer.Argument(help="TOML file: sources, num_samples, domains.")],
    out: Out,
) -> None:
    """Pick samples of given shares from several folders; what is missing is reported.

    Folders under `fill` give only what `sources` lack: published sets first, synthesis for the
    rest. Make more of them until nothing is missing; the mix then holds all it held before.

    Example: leopard curate mix configs/mix-leopard-instruct.toml --out data/mixed
    """
    from leopard.config import load
    from leopard.curation.mixture import MixSettings, write_mix

    report = write_mix(load(MixSettings, config), out)
    typer.echo(
        f"{report.num_samples} samples in {out}, {report.filled} of them to fill up; "
        f"{report.dropped} on drop lists"
    )
    for path in report.absent:
        typer.echo(f"not there: {path}")
    for cell, count in report.cells.items():
        missing = report.deficits.get(cell, 0)
        typer.echo(f"{count:8}  {cell}" + (f" ({missing} missing)" if missing else ""))
    if report.to_make:
        typer.echo(f"about {report.to_make} more samples to fill up would be enough")


@app.command()
def card(
    folder: Shards,
    out: Annotated[Path, typer.Option("--out", help="Folder for card.md, card.json, gallery.png.")],
    gallery: Annotated[int, typer.Option(help="Samples in the gallery.")] = 30,
) -> None:
    """Write the card of a set: counts, baselines, licences, rejects, gallery.

    Example: leopard curate card data/nano --out data/nano-card
    """
    from leopard.curation.card import write_card

    statistics = write_card(folder, out, gallery=gallery)
    typer.echo(f"{statistics.num_samples} samples, {statistics.num_questions} questions: {out}")


@app.command()
def view(
    folder: Shards,
    out: Annotated[Path, typer.Option("--out", help="HTML file.")],
    samples: NumSamples = 50,
) -> None:
    """Write samples as one HTML page: pages, questions, evidence boxes on hover.

    Example: leopard curate view data/nano --out nano.html --samples 50
    """
    from itertools import islice

    from leopard.curation.exports import pixel_samples
    from leopard.curation.viewer import write_page

    count = write_page(islice(pixel_samples(folder), samples), out, str(folder))
    typer.echo(f"{count} samples: {out}")


@app.command()
def audit(
    folder: Shards,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to look through.")] = None,
    samples: Annotated[int, typer.Option("-n", "--samples", help="Random samples.")] = 200,
    verdicts: Annotated[
        Path | None, typer.Option(help="Saved verdicts.jsonl: puts the error rate on the card.")
    ] = None,
) -> None:
    """Pick random samples for people to look at, then put their verdict on the card.

    Example: leopard curate audit data/nano -n 100 --out audit.html
    """
    from leopard.curation.audit import record_verdicts, write_audit

    if verdicts is not None:
        typer.echo(record_verdicts(folder, verdicts))
    if out is not None:
        typer.echo(f"{write_audit(folder, out, samples)} samples to look at: {out}")


@app.command()
def bench(
    preset: PresetName = "leopard-instruct",
    samples: Annotated[int, typer.Option(help="Samples to measure on.")] = 60,
) -> None:
    """Measure rates per CPU-second and compare them with the goals.

    Example: leopard curate bench --preset nano --samples 100
    """
    from leopard.cli.curate_parts import rate_table
    from leopard.curation.bench import bench as measure
    from leopard.curation.synthesis.settings import load_preset

    rate_table(measure(load_preset(preset or "leopard-instruct"), samples))
