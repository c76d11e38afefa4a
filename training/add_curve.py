"""A bundle + the trials that its operating points were measured on -> the same bundle with its error curve."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from model.bundle import load_bundle, seal_card
from model.bundle_encoder import open_encoder_in
from model.decision import OperatingPoint
from model.det_curve import DetCurve
from model.errors import InvalidArgument
from training.calibrate import as_list, llrs_of, speaker_numbers
from training.calibration_trials import every_pair, whole_clips_to_hear
from training.dataset import read_prepared
from training.det_curves import det_curve
from training.heard import hear_files
from training.metrics import Labels, Scores, rates_at
from training.populations import populations
from training.whole_folder import written_whole


def add_curve(folder: Path, data: Path) -> DetCurve:
    """Writes a bundle's card anew with the curve of its own LLRs, whole or not at all; encoder, calibration and ids stay.

    `data` is the prepared data set that it was calibrated on. Raises InvalidArgument where the validation speakers of
    `data` do not give the very rates of the bundle's operating points: the curve would be of other trials.
    """
    folder = folder.resolve()
    bundle = load_bundle(folder)
    rows = read_prepared(data / "utterances.csv", "validation")
    if not rows:
        raise InvalidArgument(f"{data} has no validation speakers")
    encoder = open_encoder_in(folder, bundle.card)
    heard = hear_files(encoder, [row.utterance.path for row in rows], whole_clips_to_hear(), "validation")
    trials = every_pair(heard, speaker_numbers(rows), populations([row.utterance for row in rows]).numbers)
    llrs = llrs_of(bundle.likelihood, trials)
    points = tuple(bundle.operating_points.values())
    for point in points:
        _check(point, llrs, trials.labels, data)
    curve = det_curve(as_list(trials), llrs, points, points[0].measured_on)
    card = {name: value for name, value in bundle.card.items() if name not in ("error_curve", "files")}
    with written_whole(folder) as fresh:
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
        seal_card(fresh, {**card, "error_curve": asdict(curve)})
        load_bundle(fresh)
    return curve


def _check(point: OperatingPoint, llrs: Scores, labels: Labels, data: Path) -> None:
    n_target = int(labels.sum())
    n_non_target = len(labels) - n_target
    if (n_target, n_non_target) != (point.n_target, point.n_non_target):
        raise InvalidArgument(
            f"`{point.name}` was measured on {point.n_target} target and {point.n_non_target} non-target trials, and the "
            f"validation speakers of {data} give {n_target} and {n_non_target}; give the data set that the bundle was "
            "calibrated on, or calibrate it on this one with `vouch-train calibrate`"
        )
    fmr, fnmr = rates_at(llrs, labels, point.llr)
    if (fmr, fnmr) != (point.fmr, point.fnmr):
        raise InvalidArgument(
            f"`{point.name}` has FMR {point.fmr:.6f} and FNMR {point.fnmr:.6f} in the bundle, and {fmr:.6f} and {fnmr:.6f} "
            f"on the validation speakers of {data}; calibrate the bundle on them with `vouch-train calibrate`"
        )
