"""The versioned folder that an encoder ships in: write, verify, load.

    bundle.json    the card: what the encoder is, how it was trained, measured and calibrated, and "files"
    card.md        the same for people, with the slices of its evaluation; a bundle may lack it
    encoder.ts     TorchScript, the mel front end inside: samples in, embeddings out
    engine.onnx    the same for one clip alone, as a graph that a fast CPU engine runs; a bundle may lack it
    cohort.npy     where scores are normalised: the cohort's embeddings, (n_voices, n_embedding) float16

An imported ONNX encoder ships as two files instead: front_end.ts (TorchScript, samples to features) and encoder.onnx.

"files" in the card gives the SHA-256 of every other file, so the SHA-256 of bundle.json pins the whole bundle. The
`encoder_id` hashes front end, network and weights: embeddings of different ids are never compared. The `calibration_id` hashes
the calibration, the cohort and the operating points, which may change without touching a stored embedding.

Format 2 brought side information and the cohort. A card of format 1 has a calibration that is one line for all trials,
which is read as it is. A card may have an "error_curve", which holds its operating points and is in no id.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from model.calibration import Calibration, Ranges, Term
from model.decision import OperatingPoint
from model.det_curve import DetCurve, det_curve_from
from model.errors import BundleError
from model.likelihood import LikelihoodModel
from model.pinned_file import read_pinned
from model.scoring import COHORT_DTYPE, Cohort

FORMAT_VERSION = 2
LINE_ONLY_VERSION = 1
"""Before side information and cohorts."""
CARD = "bundle.json"
PROSE = "card.md"
ENCODER = "encoder.ts"
FRONT_END = "front_end.ts"
GRAPH = "encoder.onnx"
ENGINE_GRAPH = "engine.onnx"
COHORT = "cohort.npy"
IMPORTED = "imported.json"
"""What `vouch-train import` knows of an encoder; the card is written when it is calibrated."""
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `sha256` is that of bundle.json and pins every file in it."""

    path: Path
    sha256: str
    bundle_id: str
    encoder_id: str
    n_embedding: int
    likelihood: LikelihoodModel
    calibration_id: str
    operating_points: Mapping[str, OperatingPoint]
    error_curve: DetCurve | None
    """Where the operating points lie, where the bundle has one."""
    card: Mapping[str, Any]
    prose: str | None
    """card.md, where the bundle has one."""

    @property
    def encoder_path(self) -> Path:
        return self.path / ENCODER

    @property
    def engine_graph(self) -> Path | None:
        """The encoder as an ONNX graph from samples to the embedding, where the bundle has one."""
        return self.path / ENGINE_GRAPH if ENGINE_GRAPH in self.card["files"] else None


def is_graph(card: Mapping[str, Any]) -> bool:
    """Whether the encoder that a card describes is an ONNX graph behind a front end, and not TorchScript."""
    return bool(card.get("encoder", {}).get("kind") == "onnx")


def encoder_id_of(module: nn.Module, front_end: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """Hash of front end and network as described and of every weight and buffer, by name: 16 hex digits.

    The description counts: the same weights at another stride make other embeddings.
    """
    digest = hashlib.sha256(json.dumps([front_end, network], sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def calibration_id_of(likelihood: LikelihoodModel, points: Mapping[str, OperatingPoint]) -> str:
    """Hash of a calibration, its cohort and its operating points: 16 hex digits."""
    content: dict[str, Any] = {
        "calibration": asdict(likelihood.calibration),
        "operating_points": {name: asdict(point) for name, point in points.items()},
    }
    cohort = likelihood.cohort
    if cohort is not None:
        content["cohort"] = {"n_top": cohort.n_top, "sha256": hashlib.sha256(cohort.to_bytes()).hexdigest()}
    return _short_hash(content)


def line_id_of(calibration: Calibration, points: Mapping[str, OperatingPoint]) -> str:
    """What format 1 hashed: a line and its operating points."""
    line = {name: getattr(calibration, name) for name in ("slope", "intercept", "fit_prior")}
    return _short_hash({**line, "operating_points": {name: asdict(point) for name, point in points.items()}})


def _short_hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(
    folder: Path,
    *,
    encoder_id: str,
    n_embedding: int,
    likelihood: LikelihoodModel,
    operating_points: Mapping[str, OperatingPoint],
    about: Mapping[str, Any],
    error_curve: DetCurve | None = None,
    prose: Callable[[Mapping[str, Any]], str] | None = None,
) -> None:
    """Writes the cohort, where there is one, and bundle.json over the files in `folder`; `about` is the rest of the card.

    `prose` turns the card, which then says all but "files", into the text of card.md.
    """
    if likelihood.cohort is not None:
        write_cohort(likelihood.cohort, folder / COHORT)
    calibration_id = calibration_id_of(likelihood, operating_points)
    card: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "bundle_id": f"{about.get('name', 'bundle')}-{encoder_id[:8]}-{calibration_id[:8]}",
        "encoder_id": encoder_id,
        "n_embedding": n_embedding,
        "licence": LICENCE,
        **about,
        "calibration": {**calibration_table(likelihood), "calibration_id": calibration_id},
        "operating_points": {name: asdict(point) for name, point in operating_points.items()},
    }
    if error_curve is not None:
        card["error_curve"] = asdict(error_curve)
    seal_card(folder, card, prose)


def seal_card(folder: Path, card: dict[str, Any], prose: Callable[[Mapping[str, Any]], str] | None = None) -> None:
    """Writes a card whose "files" are yet to be filled in, or filled in anew, as the last file of the folder."""
    if prose is not None:
        (folder / PROSE).write_text(prose(card), encoding="utf-8")
    card["files"] = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != CARD}
    part = folder / f"{CARD}.part"
    part.write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(folder / CARD)


def write_cohort(cohort: Cohort, path: Path) -> None:
    np.save(path, cohort.embeddings.astype(COHORT_DTYPE), allow_pickle=False)


def calibration_table(likelihood: LikelihoodModel, cohort_file: str = COHORT) -> dict[str, Any]:
    """A LikelihoodModel as JSON; the cohort's embeddings stay in their own file."""
    cohort = likelihood.cohort
    table = asdict(likelihood.calibration)
    return {**table, "cohort": None if cohort is None else {"file": cohort_file, "n_top": cohort.n_top}}


def likelihood_from(table: Mapping[str, Any], read: Callable[[str], bytes]) -> LikelihoodModel:
    """The inverse: `read` gives the cohort's file by its name. Raises KeyError, TypeError or ValueError for anything else."""
    fields = dict(table)
    cohort = fields.pop("cohort")
    fields["terms"] = tuple(Term(**term) for term in fields["terms"])
    fields["ranges"] = Ranges(**{name: (float(low), float(high)) for name, (low, high) in fields["ranges"].items()})
    return LikelihoodModel(Calibration(**fields), None if cohort is None else _cohort_from(cohort, read))


def _cohort_from(table: Mapping[str, Any], read: Callable[[str], bytes]) -> Cohort:
    embeddings = np.load(io.BytesIO(read(str(table["file"]))), allow_pickle=False)
    if embeddings.ndim != 2 or embeddings.dtype != COHORT_DTYPE:
        raise ValueError(f"a cohort is float16 of two dimensions; got {embeddings.dtype} of {embeddings.ndim}")
    return Cohort(embeddings.astype(np.float32), int(table["n_top"]))


def load_bundle(path: Path, expected_sha256: str | None = None) -> Bundle:
    """Reads and verifies a bundle. Raises BundleError with a sentence for whatever is missing, altered or not ours."""
    card_path = path / CARD
    if (path / IMPORTED).is_file() and not card_path.is_file():
        raise BundleError(
            f"the encoder at {path} was imported and has no calibration yet: "
            f"`vouch-train calibrate --encoder {path} --data DATA`"
        )
    if not card_path.is_file():
        raise BundleError(f"there is no bundle at {path}: {CARD} is missing; set VOUCH_BUNDLE to a bundle's folder")
    try:
        told = card_path.read_bytes()  # once: what is parsed is what was hashed
    except OSError as error:
        raise BundleError(f"{card_path} cannot be read ({error.strerror})") from error
    sha256 = hashlib.sha256(told).hexdigest()
    if expected_sha256 is not None and sha256 != expected_sha256.lower():
        raise BundleError(f"the bundle at {path} has SHA-256 {sha256}; VOUCH_BUNDLE_SHA256 asks for {expected_sha256}")
    try:
        card = json.loads(told.decode("utf-8"))
        version, files = card["format_version"], card["files"]
        if version not in (LINE_ONLY_VERSION, FORMAT_VERSION):
            raise BundleError(
                f"{card_path} has bundle format {version}; this version reads {LINE_ONLY_VERSION} and {FORMAT_VERSION}"
            )
        contents = _verified(path, files, _needed_files(card))
        points = {name: operating_point_from(point) for name, point in card["operating_points"].items()}
        curve = None if card.get("error_curve") is None else det_curve_from(card["error_curve"])
        calibration = dict(card["calibration"])
        calibration_id = calibration.pop("calibration_id")
        if version == LINE_ONLY_VERSION:
            likelihood = LikelihoodModel(Calibration(**calibration))
            expected_id = line_id_of(likelihood.calibration, points)
        else:
            likelihood = likelihood_from(calibration, contents.__getitem__)
            expected_id = calibration_id_of(likelihood, points)
        bundle = Bundle(
            path=path,
            sha256=sha256,
            bundle_id=card["bundle_id"],
            encoder_id=card["encoder_id"],
            n_embedding=int(card["n_embedding"]),
            likelihood=likelihood,
            calibration_id=calibration_id,
            operating_points=points,
            error_curve=curve,
            card=card,
            prose=contents[PROSE].decode("utf-8") if PROSE in contents else None,
        )
    except OSError as error:
        raise BundleError(f"the bundle at {path} cannot be read ({error})") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{card_path} is not a bundle card: {type(error).__name__} {error}") from error
    if calibration_id != expected_id:
        raise BundleError(
            f"the calibration in {card_path} was altered: its id is {calibration_id}, its content {expected_id}"
        )
    if likelihood.cohort is not None and likelihood.cohort.embeddings.shape[1] != bundle.n_embedding:
        raise BundleError(
            f"{COHORT} in {path} holds embeddings of another size than the encoder's {bundle.n_embedding}"
        )
    if not points:
        raise BundleError(f"{card_path} has no operating point; calibrate it with `vouch-train calibrate`")
    beside = [name for name, point in points.items() if curve is not None and not curve.holds(point)]
    if beside:
        raise BundleError(
            f"the error curve in {card_path} is of other trials than its operating points: {', '.join(beside)} is not on "
            "it; make both anew with `vouch-train calibrate`"
        )
    return bundle


def _needed_files(card: Mapping[str, Any]) -> tuple[str, ...]:
    cohort = card["calibration"].get("cohort")
    return ((FRONT_END, GRAPH) if is_graph(card) else (ENCODER,)) + (() if cohort is None else (str(cohort["file"]),))


def _verified(path: Path, files: Mapping[str, str], needed: tuple[str, ...]) -> Mapping[str, bytes]:
    """What each file holds, once all are known to be whole."""
    for name in needed:
        if name not in files:
            raise BundleError(f"the card at {path} does not list {name}")
    for name in files:
        if Path(name).name != name:
            raise BundleError(f"the card at {path} lists {name!r}, which is not a plain file name")
        if not (path / name).is_file():
            raise BundleError(f"{name} is missing from the bundle at {path}")
    # As text: a card whose hash is null must not load without one.
    return {name: read_pinned(path / name, str(sha256)) for name, sha256 in files.items()}


def operating_point_from(table: Mapping[str, Any]) -> OperatingPoint:
    """An OperatingPoint from its JSON. Raises KeyError, TypeError or ValueError for anything else."""
    intervals = {name: (float(table[name][0]), float(table[name][1])) for name in ("fmr_interval", "fnmr_interval")}
    return OperatingPoint(**{**table, **intervals})
