"""The kinds of checkpoint that `vouch-train import` reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import InvalidArgument
from training.importers import campplus, onnx, resemblyzer, speechbrain
from training.importers.imported import Imported, provenance_of
from training.importers.kaldi_fbank import FbankConfig

KINDS = ("resemblyzer", "speechbrain", "campplus", "onnx")


@dataclass(frozen=True)
class ImportOptions:
    """What the user says of a source; None is what the kind knows or assumes by itself."""

    licence: str | None = None
    training_data: Sequence[str] = ()
    centre: bool | None = None
    """SpeechBrain only: subtract the mean embedding that lies beside the weights."""
    fbank: FbankConfig | None = None
    """ONNX only, and there needed."""
    output: str | None = None
    """ONNX only: the embedding's name among several outputs."""


def read_source(kind: str, source: Path | None, options: ImportOptions) -> Imported:
    """Raises InvalidArgument or BundleError where the source is not of its kind, or where something is not said."""
    _refuse_foreign(kind, options)
    if kind == "resemblyzer":
        return _resemblyzer(source or resemblyzer.installed_weights(), options)
    if source is None:
        raise InvalidArgument(f"say where the {kind} encoder is: `vouch-train import {kind} SOURCE`")
    if not source.exists():
        raise InvalidArgument(f"there is nothing at {source}")
    readers = {"speechbrain": _speechbrain, "campplus": _campplus, "onnx": _onnx}
    return readers[kind](source, options)


def _refuse_foreign(kind: str, options: ImportOptions) -> None:
    if kind not in KINDS:
        raise InvalidArgument(f"what is imported is one of {', '.join(KINDS)}; got {kind!r}")
    given = {"speechbrain": options.centre, "onnx": options.fbank or options.output}
    for owner, value in given.items():
        if value is not None and owner != kind:
            raise InvalidArgument(f"an option was given that belongs to {owner}, and {kind} is imported")


def _resemblyzer(path: Path, options: ImportOptions) -> Imported:
    module = resemblyzer.read_weights(path)
    return Imported(
        module=module,
        graph=None,
        front_end=resemblyzer.describe_front_end(),
        network=resemblyzer.describe_network(),
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        provenance=provenance_of(
            f"Resemblyzer's {path.name}",
            path,
            options.licence or resemblyzer.LICENCE,
            options.training_data or resemblyzer.TRAINING_DATA,
        ),
        limits=(resemblyzer.LIMIT,),
    )


def _speechbrain(folder: Path, options: ImportOptions) -> Imported:
    if not (folder / speechbrain.WEIGHTS).is_file():
        raise InvalidArgument(f"{folder} is not a folder of SpeechBrain's: it holds no {speechbrain.WEIGHTS}")
    provenance = provenance_of(
        f"SpeechBrain's {folder.name}{os.sep}{speechbrain.WEIGHTS}",
        folder / speechbrain.WEIGHTS,
        options.licence,
        options.training_data,
    )
    module = speechbrain.read_folder(folder, centre=bool(options.centre))
    return Imported(
        module=module,
        graph=None,
        front_end=speechbrain.describe_front_end(module.config),
        network=speechbrain.describe_network(module.config),
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        provenance=provenance,
    )


def _campplus(path: Path, options: ImportOptions) -> Imported:
    provenance = provenance_of(f"3D-Speaker's {path.name}", path, options.licence, options.training_data)
    module = campplus.read_weights(path)
    return Imported(
        module=module,
        graph=None,
        front_end=campplus.describe_front_end(module.config),
        network=campplus.describe_network(module.config),
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        provenance=provenance,
    )


def _onnx(path: Path, options: ImportOptions) -> Imported:
    if options.fbank is None:
        raise InvalidArgument("say which features the graph takes: --convention wespeaker or 3d-speaker")
    provenance = provenance_of(f"the ONNX file {path.name}", path, options.licence, options.training_data)
    return onnx.read_graph(path, options.fbank, provenance, options.output)
