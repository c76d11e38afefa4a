"""The commands of `vouch-train` that make a bundle or write one anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model.bundle import ENCODER, ENGINE_GRAPH, PROSE, file_sha256, load_bundle
from model.speech import GRAPH
from training import export as export_stage
from training.add_curve import add_curve
from training.calibration_file import load_calibration
from training.cli_output import console, plain_errors
from training.describe import describe
from training.detector_graph import export_detector
from training.graph import add_graph
from training.importers.imported import write_import
from training.importers.kaldi_fbank import fbank_config
from training.importers.sources import ImportOptions, read_source

bundles = typer.Typer()


@bundles.command()
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
    with plain_errors():
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


@bundles.command()
def card(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    evaluation: Annotated[list[Path], typer.Option(help="A report.json of `evaluate` on it.")],
    history: Annotated[list[Path] | None, typer.Option(help="Reports on encoders before this one.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="A sentence on what its corpora do not cover; those given replace the card's own."),
    ] = None,
) -> None:
    """Write a bundle's model card anew, with what was measured since; encoder and calibration stay as they are."""
    with plain_errors():
        described = describe(bundle, evaluation, history or [], limit)
    console.print(f"{described / PROSE}; the bundle's SHA-256 is now {load_bundle(described).sha256}", highlight=False)


@bundles.command()
def graph(bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")]) -> None:
    """Write a bundle's encoder also as the graph that a fast CPU engine runs; `export` does so by itself."""
    with plain_errors():
        difference = add_graph(bundle)
    console.print(f"{bundle / ENGINE_GRAPH}, within {difference:.1g} of {ENCODER}", highlight=False)
    console.print(f"the bundle's SHA-256 is now {load_bundle(bundle).sha256}", highlight=False)


@bundles.command()
def curve(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    data: Annotated[Path, typer.Option(help="The folder that `prepare` wrote, which the bundle was calibrated on.")],
    threads: Annotated[int, typer.Option(help="Cores to use; 0 lets PyTorch choose.")] = 0,
) -> None:
    """Write a bundle's error curve into its card; `calibrate` does so by itself. Encoder and calibration stay as they are."""
    with plain_errors(threads):
        added = add_curve(bundle, data)
    console.print(
        f"{len(added.llrs)} thresholds from {added.llrs[0]:.2f} to {added.llrs[-1]:.2f}, {added.measured_on}",
        highlight=False,
    )
    console.print(f"the bundle's SHA-256 is now {load_bundle(bundle).sha256}", highlight=False)


@bundles.command()
def detector(out: Annotated[Path, typer.Option(help="Where to write it.")] = GRAPH) -> None:
    """Write the graph of the speech detector anew, from Silero's wheel; what ships was made by this."""
    with plain_errors():
        export_detector(out)
    console.print(
        f"{out}, SHA-256 {file_sha256(out)}; the service takes it where model/speech.py says so", highlight=False
    )


@bundles.command("import")
def import_encoder(
    kind: Annotated[str, typer.Argument(help="resemblyzer, speechbrain, campplus or onnx.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder; `calibrate` completes it.")],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="pretrained.pt (by default the installed package's), a SpeechBrain folder, 3D-Speaker's .pt, an ONNX file."
        ),
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
    with plain_errors():
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
