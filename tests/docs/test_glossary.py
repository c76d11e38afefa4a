"""docs/glossary.md explains every word that an answer, an evaluation or the project's own pages use."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from app.api.schemas import Audio, SpeakerAnswer, Threshold, VerificationAnswer
from app.records import SpeakerStatus
from model.decision import OperatingPoint, Outcome, Reason
from training.operating_points import TARGET_FMRS
from training.reports import CalibratedRates, DetectionCost, Evaluation

GLOSSARY = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")

WORDS = {
    "trial": ("target", "non_target"),
    "enrollment": ("clip", "embedding"),
    "reference": ("mean", "enrollments"),
    "probe": ("under test",),
    "gallery": ("references",),
    "cohort": ("Never users",),
    "score": ("higher", "scale"),
    "operating point": ("threshold", "error rates", "measured"),
    "net speech": ("pauses",),
    "cosine_score": ("encoder",),
    "normalized_score": ("cohort",),
    "llr": ("natural",),
    "act_dcf": ("threshold", "calibration"),
}
"""A word of the vocabulary, and what its meaning has to mention."""

# Names that say themselves, or that another page of the documentation is about.
SELF_EXPLAINING = {
    *("encoder", "trials", "name"),
    *("display_name", "metadata", "consent", "created_at", "updated_at", "enrollment_count"),
}


def meanings() -> dict[str, str]:
    """Term -> meaning. One row may explain several terms; one term may have several meanings, which are joined."""
    found: dict[str, str] = {}
    for terms, meaning in re.findall(r"^\| (.+?) \| (.+) \|$", GLOSSARY, flags=re.MULTILINE):
        for term in terms.split(", "):
            found[term.strip("`")] = f"{found.get(term.strip('`'), '')} {meaning}"
    return found


def named_in_glossary() -> set[str]:
    return set(re.findall(r"`([^`]+)`", GLOSSARY)) | set(meanings())


@pytest.mark.parametrize("word", WORDS)
def test_the_vocabulary_is_defined(word: str) -> None:
    for mention in WORDS[word]:
        assert mention in meanings()[word]


@pytest.mark.parametrize("value", [*get_args(Outcome), *get_args(Reason), *get_args(SpeakerStatus)])
def test_every_value_that_an_answer_may_have_is_explained(value: str) -> None:
    assert len(meanings()[value]) > 10


@pytest.mark.parametrize("answer", [VerificationAnswer, Threshold, Audio, SpeakerAnswer])
def test_every_field_of_an_answer_is_explained(answer: type[VerificationAnswer]) -> None:
    assert set(answer.model_fields) - SELF_EXPLAINING <= set(meanings())


def test_every_metric_of_the_lab_is_explained() -> None:
    names = {
        field.name
        for record in (Evaluation, CalibratedRates, DetectionCost, OperatingPoint)
        for field in fields(record)
    }
    metrics = {
        name
        for name in names
        if not re.match("n_|measured_on|accuracy_threshold|eer_threshold|calibrated|detection_costs", name)
    }
    assert metrics - SELF_EXPLAINING <= set(meanings())
    assert set(TARGET_FMRS) <= set(meanings())


def test_a_term_is_explained_once_but_for_two_meanings_of_eer() -> None:
    terms = re.findall(r"^\| (.+?) \|", GLOSSARY, flags=re.MULTILINE)
    every = [term.strip("`") for row in terms for term in row.split(", ") if term not in ("term", "---")]
    assert {term for term in every if every.count(term) > 1} == {"eer", "score"}


def test_what_it_quotes_in_code_is_explained_or_exists() -> None:
    quoted = {name for name in named_in_glossary() if re.fullmatch("[a-z]+(_[a-z]+)+", name)}
    assert quoted - set(meanings()) <= {"p_fa", "p_miss"}
