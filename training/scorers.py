"""An encoder with the calibration that goes with it -> scores and LLRs, as the service would give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.bundle import CARD, load_bundle
from model.calibration import SideInformation
from model.errors import InvalidArgument
from model.likelihood import LikelihoodModel
from model.scoring import unit
from training.calibration_file import load_calibration
from training.encoders import OpenedEncoder
from training.heard import HeardClips
from training.metrics import Scores


@dataclass(frozen=True, eq=False)
class CosineScorer:
    """Cosine of a reference and a probe; with a calibration, its LLR too."""

    likelihood: LikelihoodModel | None
    calibration_id: str | None
    calibrated_on: str | None
    operating_points: Mapping[str, float]
    """LLR by name; empty without a calibration."""

    def __call__(
        self, references: HeardClips, of_reference: NDArray[np.int64], probes: HeardClips, of_probe: NDArray[np.int64]
    ) -> tuple[Scores, Scores | None]:
        # Many trials share a reference or a probe: each is set beside the cohort once.
        rows, number = np.unique(of_reference, axis=0, return_inverse=True)
        number = number.reshape(-1)
        means = unit(references.embeddings[rows].mean(axis=1))
        cosines: Scores = np.einsum("td,td->t", means[number], probes.embeddings[of_probe], dtype=np.float64)
        if self.likelihood is None:
            return cosines, None
        enrolled = self.likelihood.side(means, _together(references, rows))
        tested = self.likelihood.side(probes.embeddings, probes.information)
        return cosines, self.likelihood.llr(cosines, enrolled[number], tested[of_probe])


def _together(clips: HeardClips, of_reference: NDArray[np.int64]) -> SideInformation:
    """Of references, each made of the clips (n_references, n_clips) whose rows are given."""
    snr_db = clips.snr_db[of_reference]
    n_measured = (~np.isnan(snr_db)).sum(axis=1)
    mean_snr_db = np.where(n_measured > 0, np.nansum(snr_db, axis=1) / np.maximum(n_measured, 1), np.nan)
    n_clips = np.full(len(of_reference), float(of_reference.shape[1]))
    return SideInformation(clips.speech_s[of_reference].sum(axis=1), n_clips, mean_snr_db)


def scorer_of(encoder: Path, opened: OpenedEncoder, calibrations: Sequence[Path]) -> CosineScorer:
    """The calibration is one of `calibrations`, else the bundle's own, else calibration.json in the run's folder, else none."""
    given = [load_calibration(path) for path in calibrations]
    folder = encoder if encoder.is_dir() else encoder.parent
    is_bundle = (encoder / CARD).is_file()
    if not is_bundle and (folder / "calibration.json").is_file():
        given.append(load_calibration(folder / "calibration.json"))
    for result in given:
        if result.encoder_id == opened.encoder_id:
            points = {name: point.llr for name, point in result.operating_points.items()}
            return CosineScorer(result.likelihood, result.calibration_id, result.fitted_on, points)
    if is_bundle:
        bundle = load_bundle(encoder)
        points = {name: point.llr for name, point in bundle.operating_points.items()}
        fitted_on = bundle.card.get("calibration_data", {}).get("fitted_on")
        return CosineScorer(bundle.likelihood, bundle.calibration_id, fitted_on, points)
    return CosineScorer(None, None, None, {})


def refuse_strays(calibrations: Sequence[Path], encoder_ids: Sequence[str]) -> None:
    """Raises InvalidArgument where a calibration belongs to none of the encoders."""
    for path in calibrations:
        fitted_to = load_calibration(path).encoder_id
        if fitted_to not in encoder_ids:
            raise InvalidArgument(
                f"the calibration {path} was fitted to encoder {fitted_to}, and what is evaluated is {', '.join(encoder_ids)}"
            )
