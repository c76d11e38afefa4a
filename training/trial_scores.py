"""Embeddings + trials -> scores, and the trials of the held-out speakers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model.encoder import SiameseEncoder
from model.errors import InvalidArgument
from model.likelihood import LikelihoodModel
from model.scoring import Embedding, unit
from training.dataset import read_prepared
from training.encoders import OpenedEncoder, embed_files
from training.heard import HeardClips
from training.metrics import Scores
from training.trials import Trials, all_pairs

SCORE_KINDS = ("cosine", "distance", "head")


def score_trials(trials: Trials, embeddings: Embedding, kind: str, siamese: SiameseEncoder | None = None) -> Scores:
    """(n_trials,) scores: cosine, negative Euclidean distance, or the pair head's logit (needs the eager network)."""
    if kind == "cosine":
        a, b = unit(embeddings)[trials.a], unit(embeddings)[trials.b]
        cosines: Scores = np.einsum("td,td->t", a, b, dtype=np.float64)
        return cosines
    if kind == "distance":
        distances: Scores = -np.linalg.norm(embeddings[trials.a] - embeddings[trials.b], axis=1).astype(np.float64)
        return distances
    if kind != "head":
        raise InvalidArgument(f"the score is one of {', '.join(SCORE_KINDS)}; got {kind!r}")
    if siamese is None or not isinstance(siamese.pair_head, torch.nn.Linear):
        raise InvalidArgument(
            "this encoder has no pair head: score by cosine or distance, or open a checkpoint that has one"
        )
    with torch.inference_mode():
        logits = siamese.similarity_logit(
            torch.from_numpy(embeddings)[trials.a], torch.from_numpy(embeddings)[trials.b]
        )
    scores: Scores = logits.numpy().astype(np.float64)
    return scores


def trial_llrs(trials: Trials, heard: HeardClips, likelihood: LikelihoodModel) -> Scores:
    """(n_trials,) LLRs of one clip against one, as the service gives them; `heard` has a row for each clip of the list."""
    sides = likelihood.side(heard.embeddings, heard.information)
    cosines = score_trials(trials, heard.embeddings, "cosine")
    return likelihood.llr(cosines, sides[trials.a], sides[trials.b])


def validation_trials(opened: OpenedEncoder, data: Path) -> tuple[Trials, Embedding]:
    """Every pair of the data set's validation clips, and the clips' embeddings.

    Raises InvalidArgument where the data set holds nobody for validation.
    """
    rows = read_prepared(data / "utterances.csv", "validation")
    if not rows:
        raise InvalidArgument(f"{data} has no validation speakers")
    trials = all_pairs("validation", [r.utterance.speaker for r in rows], [r.utterance.path for r in rows])
    return trials, embed_files(opened.module, trials.paths, trials.name)
