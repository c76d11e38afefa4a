"""`vouch-train`: from corpora to a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from model.bundle import CARD
from model.errors import InvalidArgument
from training import calibrate as calibration_stage
from training import evaluate as evaluation_stage
from training import prepare as preparation_stage
from training import shard as sharding_stage
from training import train as training_stage
from training.bootstrap import N_DRAWS
from training.calibration_file import save_calibration
from training.calibration_text import print_calibration
from training.cli_bundles import bundles
from training.cli_output import console, plain_errors
from training.conditions import CONDITIONS
from training.corpora.shards import MANIFEST
from training.importers.folder import is_imported
from training.importers.sealing import seal
from training.inventory import REPORT
from training.recalibrate import recalibrate
from training.recipe import load_recipe
from training.report_rows import percent, percent_interval, whole_lists
from training.reports import Report
from training.trials import read_trials

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Data = Annotated[Path, typer.Option(help="The folder that `prepare` wrote.")]
Encoder = Annotated[Path, typer.Option(help="A run's folder, a checkpoint or a bundle.")]
KINDS = ", ".join(sorted(preparation_stage.READERS))
Threads = Annotated[int, typer.Option(help="Cores to use; 0 lets PyTorch choose.")]


def beside(encoder: Path) -> Path:
    """Where results on an encoder go unless told otherwise: a run's own folder; never into a bundle, which is sealed."""
    if (encoder / CARD).is_file() or is_imported(encoder):
        return Path("runs") / encoder.resolve().name
    return encoder if encoder.is_dir() else encoder.parent


@app.command()
def prepare(
    corpora: Annotated[list[str], typer.Argument(help=f"KIND:PATH with KIND one of {KINDS}.")],
    out: Annotated[Path, typer.Option(help="Where the data set is written.")] = Path("runs/data"),
    validation_fraction: Annotated[float, typer.Option(min=0, max=1, help="Of speakers without a split.")] = 0.1,
    test_fraction: Annotated[float, typer.Option(min=0, max=1, help="Likewise, where the corpus has no test.")] = 0.1,
    max_unreadable: Annotated[float, typer.Option(min=0, max=1, help="Skip unreadable clips up to this share.")] = 0.01,
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode; 0 takes every core.")] = 0,
    seed: int = 1,
) -> None:
    """Read corpora into Utterance rows with speaker-disjoint train, validation and test splits."""
    with plain_errors():
        inventory = preparation_stage.prepare(
            corpora,
            out,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            seed=seed,
            max_unreadable=max_unreadable,
            workers=workers or os.cpu_count() or 1,
        )
    counts = Table("split", "corpus", "speakers", "sessions", "clips", "hours", title=str(out / "utterances.csv"))
    for s in inventory.splits:
        counts.add_row(s.split, s.corpus, str(s.n_speakers), str(s.n_sessions), str(s.n_clips), f"{s.hours:.2f}")
    console.print(counts)
    suspicious = Table("cases", "what", Column("first", overflow="fold"), title=str(out / REPORT))
    for finding in inventory.findings:
        suspicious.add_row(str(len(finding.cases)), finding.what, " = ".join(finding.cases[0]))
    if inventory.unreadable:
        first = inventory.unreadable[0]
        suspicious.add_row(str(len(inventory.unreadable)), "unreadable; left out", first.path)
    if suspicious.row_count:
        console.print(suspicious)


@app.command()
def shard(
    corpora: Annotated[list[str], typer.Argument(help=f"KIND:PATH with KIND one of {KINDS}.")],
    out: Annotated[Path, typer.Option(help="The shards' folder.")],
    clips_per_shard: Annotated[int, typer.Option(min=1, help="Clips in each tar.")] = sharding_stage.CLIPS_PER_SHARD,
) -> None:
    """Write corpora as WebDataset tars, for `prepare shards:OUT`; goes on where an interrupted call stopped."""
    with plain_errors():
        found = sharding_stage.shard(corpora, out, clips_per_shard=clips_per_shard)
    n_clips = sum(one.n_clips for one in found.shards)
    console.print(f"{n_clips} clips in {found.n_shards} shards, {out / MANIFEST}")


@app.command()
def train(
    recipe: Annotated[
        str, typer.Option(help="A TOML file, or the name of one that ships: default, plain, seed.")
    ] = "default",
    data: Data = Path("runs/data"),
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/RECIPE by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Stop early, after this many steps.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that compute features.")] = 1,
    draw_threads: Annotated[int, typer.Option(min=1, help="Threads that draw batches ahead.")] = 2,
    checkpoint_every_s: Annotated[
        float, typer.Option(min=0, help="Seconds between two checkpoints.")
    ] = training_stage.CHECKPOINT_EVERY_S,
    threads: Threads = 0,
) -> None:
    """Train an encoder; resumes where an interrupted run stopped."""
    with plain_errors(threads):
        chosen = load_recipe(recipe)
        folder = out or Path("runs") / chosen.name
        last = training_stage.train(
            chosen,
            data,
            folder,
            max_steps=steps,
            resume=resume,
            device=device,
            workers=workers,
            draw_threads=draw_threads,
            checkpoint_every_s=checkpoint_every_s,
        )
    console.print(f"checkpoint {last}, log {folder / 'log.csv'}, curves {folder / 'curves.png'}")


@app.command()
def evaluate(
    encoder: Annotated[
        list[Path], typer.Option(help="A run's folder, a checkpoint or a bundle; several are compared.")
    ],
    trials: Annotated[list[Path], typer.Option(help="A trial list: lines of `label path path`. Several may be given.")],
    root: Annotated[Path, typer.Option(help="The folder that the lists' paths are relative to.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the report goes; ENCODER/evaluation of the first by default.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="CSV with path, gender, age: slices by gender, adults, children.")
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="Only these slices, such as speech_2s; `full` for none. All by default.")
    ] = None,
    score: Annotated[list[str] | None, typer.Option(help="cosine, distance or head; several may be given.")] = None,
    data: Annotated[Path | None, typer.Option(help="Choose the accuracy threshold on its validation split.")] = None,
    calibration: Annotated[
        list[Path] | None, typer.Option(help="For the encoder that it was fitted to, in place of its own.")
    ] = None,
    draws: Annotated[int, typer.Option(min=20, help="Draws of speakers behind each interval.")] = N_DRAWS,
    threads: Threads = 0,
) -> None:
    """Score trial lists: report.html and report.json with error rates, costs, slices and plots, encoders side by side."""
    with plain_errors(threads):
        folder = out or beside(encoder[0]) / "evaluation"
        report = evaluation_stage.evaluate(
            encoder,
            [read_trials(path, root) for path in trials],
            folder,
            kinds=tuple(score or ["cosine"]),
            conditions=tuple(condition or CONDITIONS),
            calibrations=calibration or [],
            manifest=manifest,
            data=data,
            n_draws=draws,
        )
    console.print(_summary(report))
    console.print(f"{folder / evaluation_stage.PAGE}, and report.json beside it")


def _summary(report: Report) -> Table:
    name = Column("trial list", overflow="fold")
    table = Table(name, "encoder", "clips", "EER %", "95 %", "DCF(0.05)", "Cllr", caption="least / actual")
    for facts in report.lists:
        for row in whole_lists(report, facts.name):
            cost, rates = next(c for c in row.detection_costs if c.p_target == 0.05), row.calibrated
            table.add_row(
                facts.name,
                row.encoder if row.score in ("llr", "cosine") else f"{row.encoder} ({row.score})",
                str(row.n_enrollment_clips),
                percent(row.eer),
                percent_interval(row.eer_interval),
                f"{cost.min_dcf:.3f}" if cost.act_dcf is None else f"{cost.min_dcf:.3f} / {cost.act_dcf:.3f}",
                f"{rates.min_cllr_bits:.3f} / {rates.cllr_bits:.3f}" if rates else "",
            )
    if len({row.encoder + row.score for row in report.evaluations if row.score != "cosine"}) <= 1:
        del table.columns[1]  # one name all the way down
    return table


@app.command()
def calibrate(
    encoder: Annotated[Path, typer.Option(help="A run's folder, a checkpoint, a bundle or an imported encoder.")],
    data: Data = Path("runs/data"),
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .json file, by default calibration.json beside the encoder; for a bundle, or a new bundle's folder."
        ),
    ] = None,
    threads: Threads = 0,
) -> None:
    """Fit score -> LLR and the operating points on the validation speakers, neither trained nor tested on."""
    with plain_errors(threads):
        is_folder = out is not None and out.suffix != ".json"
        if is_folder and not (encoder / CARD).is_file():
            raise InvalidArgument(
                f"--out {out} is no .json file, and {encoder} is no bundle to be written anew with its calibration"
            )
        result = calibration_stage.calibrate_encoder(encoder, data)
        path = out if out is not None and not is_folder else beside(encoder) / "calibration.json"
        save_calibration(result, path)
        print_calibration(result, path, console)
        if out is not None and is_folder:
            console.print(f"bundle {recalibrate(encoder, result, out)}")
        elif is_imported(encoder):
            console.print(f"bundle {seal(encoder, result)}")


app.add_typer(bundles)  # behind the others, as `--help` lists them


def main() -> None:
    app()


if __name__ == "__main__":  # torchrun -m training.cli
    main()
