"""`vouch-train`: from corpora to a bundle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Column, Table

from model.bundle import CARD
from model.errors import InvalidArgument, VouchError
from training import calibrate as calibration_stage
from training import evaluate as evaluation_stage
from training import export as export_stage
from training import prepare as preparation_stage
from training import train as training_stage
from training.calibration_file import load_calibration, save_calibration
from training.calibration_text import print_calibration
from training.importers.folder import is_imported
from training.importers.imported import write_import
from training.importers.kaldi_fbank import fbank_config
from training.importers.sealing import seal
from training.importers.sources import ImportOptions, read_source
from training.inventory import REPORT
from training.recalibrate import recalibrate
from training.recipe import load_recipe
from training.trials import read_trials

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()
errors = Console(stderr=True)

Data = Annotated[Path, typer.Option(help="The folder that `prepare` wrote.")]
Encoder = Annotated[Path, typer.Option(help="A run's folder, a checkpoint or a bundle.")]
KINDS = ", ".join(sorted(preparation_stage.READERS))
Threads = Annotated[int, typer.Option(help="Cores to use; 0 lets PyTorch choose.")]


@contextmanager
def _plain_errors(threads: int = 0) -> Iterator[None]:
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    except VouchError as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False)
        raise typer.Exit(3) from error


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
    workers: Annotated[int, typer.Option(min=0, help="Threads that decode; 0 takes every core.")] = 0,
    seed: int = 1,
) -> None:
    """Read corpora into Utterance rows with speaker-disjoint train, validation and test splits."""
    with _plain_errors():
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
def train(
    recipe: Annotated[str, typer.Option(help="A TOML file, or the name of one that ships: seed, default.")] = "default",
    data: Data = Path("runs/data"),
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/RECIPE by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Stop early, after this many steps.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that compute features.")] = 1,
    draw_threads: Annotated[int, typer.Option(min=1, help="Threads that draw batches ahead.")] = 2,
    checkpoint_every_s: Annotated[float, typer.Option(min=0, help="Seconds between two checkpoints.")] = 120.0,
    threads: Threads = 0,
) -> None:
    """Train an encoder; resumes where an interrupted run stopped."""
    with _plain_errors(threads):
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
    encoder: Encoder,
    trials: Annotated[list[Path], typer.Option(help="A trial list: lines of `label path path`.")],
    root: Annotated[Path, typer.Option(help="The folder that the list's paths are relative to.")],
    out: Annotated[Path | None, typer.Option(help="Where reports go; ENCODER/evaluation by default.")] = None,
    score: Annotated[list[str] | None, typer.Option(help="cosine, distance or head; several may be given.")] = None,
    data: Annotated[Path | None, typer.Option(help="Choose the accuracy threshold on its validation split.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Report this calibration's error rates too.")] = None,
    threads: Threads = 0,
) -> None:
    """Score trial lists: EER with an interval over speakers, minDCF, accuracy, DET curve, histogram."""
    with _plain_errors(threads):
        folder = out or beside(encoder) / "evaluation"
        fitted = load_calibration(calibration) if calibration else None
        table = Table("trial list", "score", "EER %", "95 %", "minDCF(0.01)", "balanced accuracy %")
        results = evaluation_stage.evaluate(
            encoder,
            [read_trials(path, root) for path in trials],
            folder,
            kinds=tuple(score or ["cosine"]),
            data=data,
            calibration=fitted,
        )
    for r in results:
        interval = f"{100 * r.eer_interval[0]:.2f} – {100 * r.eer_interval[1]:.2f}"
        values = (f"{100 * r.eer:.2f}", interval, f"{r.min_dcf:.3f}", f"{100 * r.accuracy:.1f}")
        table.add_row(r.trials, r.score, *values)
    console.print(table)
    console.print(f"reports in {folder}")


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
    with _plain_errors(threads):
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


@app.command()
def export(
    encoder: Annotated[Path, typer.Option(help="A run's folder or a checkpoint.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    name: Annotated[str, typer.Option(help="A short name for the card.")] = "vouch",
    calibration: Annotated[Path | None, typer.Option(help="calibration.json beside the encoder by default.")] = None,
    evaluation: Annotated[list[Path] | None, typer.Option(help="Reports of `evaluate` for the card.")] = None,
    history: Annotated[list[Path] | None, typer.Option(help="Reports on encoders before this one.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="A sentence on what its corpora do not cover.")] = None,
) -> None:
    """Write the bundle that the service loads; refuses unless it agrees with the eager encoder to 1e-4."""
    with _plain_errors():
        folder = encoder if encoder.is_dir() else encoder.parent
        fitted = load_calibration(calibration or folder / "calibration.json")
        checkpoint = encoder / "last.pt" if encoder.is_dir() else encoder
        bundle = export_stage.export(
            checkpoint,
            fitted,
            out,
            name=name,
            evaluations=evaluation or [],
            history=history or [],
            limits=limit or [],
        )
    console.print(f"bundle {bundle}")


@app.command("import")
def import_encoder(
    kind: Annotated[str, typer.Argument(help="resemblyzer, speechbrain or onnx.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder; `calibrate` completes it.")],
    source: Annotated[
        Path | None,
        typer.Argument(help="pretrained.pt (by default the installed package's), a SpeechBrain folder, an ONNX file."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A short name for the card; KIND by default.")] = None,
    licence: Annotated[str | None, typer.Option(help="The weights' licence; known for resemblyzer.")] = None,
    training_data: Annotated[list[str] | None, typer.Option(help="A corpus it was trained on; likewise.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="A sentence on what its corpora do not cover.")] = None,
    centre: Annotated[bool, typer.Option("--centre", help="speechbrain: subtract its mean embedding.")] = False,
    convention: Annotated[str | None, typer.Option(help="onnx: the features of wespeaker or 3d-speaker.")] = None,
    n_mels: Annotated[int | None, typer.Option(min=1, help="onnx: mel bands, if not 80.")] = None,
    window: Annotated[
        str | None, typer.Option(help="onnx: hamming, povey or hanning, if not the convention's.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="onnx: samples as int16 or unit, if not the convention's.")] = None,
    keep_mean: Annotated[bool, typer.Option("--keep-mean", help="onnx: leave each band's mean in.")] = False,
    output: Annotated[
        str | None, typer.Option(help="onnx: the embedding, where the graph has several outputs.")
    ] = None,
) -> None:
    """Turn a public checkpoint into a bundle, which `calibrate` completes."""
    with _plain_errors():
        options = ImportOptions(
            licence=licence,
            training_data=training_data or [],
            centre=centre or None,
            fbank=fbank_config(convention, n_mels=n_mels, window=window, scale=scale, keep_mean=keep_mean),
            output=output,
        )
        imported = read_source(kind, source, options)
        folder = write_import(imported, out, name=name or kind, limits=limit or [])
    console.print(f"{folder}, {imported.provenance.source}, licence {imported.provenance.licence}", highlight=False)
    console.print(f"next: vouch-train calibrate --encoder {folder} --data DATA", highlight=False)


def main() -> None:
    app()
