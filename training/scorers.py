"""An encoder with the calibration that goes with it -> scores and LLRs, as the service would give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.bundle import CARD, load_bundle
from model.errors import InvalidArgument
from model.likelihood import LikelihoodModel
from training.calibration_file import load_calibration
from training.encoders import OpenedEncoder
from training.heard import HeardClips, joined_clips
from training.metrics import Scores


@dataclass(frozen=True, eq=False)
class CosineScorer:
    """Cosine of a reference and a probe; with a likelihood model, its LLR too."""

    likelihood: LikelihoodModel | None
    calibration_id: str | None
    calibrated_on: str | None
    operating_points: Mapping[str, float]
    """LLR by name; empty without a calibration."""

    def __call__(
        self, references: HeardClips, of_reference: NDArray[np.int64], probes: HeardClips, of_probe: NDArray[np.int64]
    ) -> tuple[Scores, Scores | None]:
        different, of_different = np.unique(of_reference, axis=0, return_inverse=True)
        embeddings, information = joined_clips(references.embeddings, references.information, different)
        of_different = of_different.reshape(-1)
        cosines: Scores = np.einsum("td,td->t", embeddings[of_different], probes.embeddings[of_probe], dtype=np.float64)
        if self.likelihood is None:
            return cosines, None
        enrolled = self.likelihood.side(embeddings, information)
        heard = self.likelihood.side(probes.embeddings, probes.information)
        return cosines, self.likelihood.llr(cosines, enrolled[of_different], heard[of_probe])


UNCALIBRATED = CosineScorer(None, None, None, {})


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
    return UNCALIBRATED


def refuse_strays(calibrations: Sequence[Path], encoder_ids: Sequence[str]) -> None:
    """Raises InvalidArgument where a calibration belongs to none of the encoders."""
    for path in calibrations:
        fitted_to = load_calibration(path).encoder_id
        if fitted_to not in encoder_ids:
            raise InvalidArgument(
                f"the calibration {path} was fitted to encoder {fitted_to}, and what is evaluated is {', '.join(encoder_ids)}"
            )
