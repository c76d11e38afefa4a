"""What goes over the wire, as typed dicts. Made from the service's OpenAPI document by `generate.py`; do not edit.

Times are ISO 8601 with a time zone. A later service may answer with more fields.
"""

from typing import Any, Literal, NotRequired, TypedDict


class Audio(TypedDict):
    """What a clip was worth as evidence."""

    duration_s: float
    speech_s: float
    """Net speech, in seconds."""
    snr_db: float | None
    """null where speech or pause is missing."""
    clipped_fraction: float
    sample_rate_hz: int
    channels: int
    format: str


class CalibratedRatesAnswer(TypedDict):
    """What the bundle's own calibration and thresholds came to on one trial list."""

    calibration_id: str
    cllr_bits: float
    """Cost of the log-likelihood ratios; 1 bit is knowing nothing."""
    cllr_bits_interval: NotRequired[list[float] | None]
    """95 % bootstrap interval over speakers."""
    min_cllr_bits: float
    """The same after the best calibration for this list."""
    min_cllr_bits_interval: NotRequired[list[float] | None]
    fmr: dict[str, float]
    """By operating point."""
    fmr_interval: NotRequired[dict[str, list[float]] | None]
    fnmr: dict[str, float]
    """By operating point."""
    fnmr_interval: NotRequired[dict[str, list[float]] | None]


class CandidateAnswer(TypedDict):
    speaker_id: str
    display_name: str | None
    score: float
    llr: float
    probability: float
    decision: Literal["accept", "reject", "inconclusive"]
    """As if this speaker alone had been claimed."""


class Consent(TypedDict):
    """What the person agreed to."""

    purpose: str
    given_at: str
    """With a time zone."""
    expires_at: NotRequired[str | None]
    """With a time zone, after given_at; null: no end."""


class DetectionCostAnswer(TypedDict):
    """Normalised detection costs at one prior, both errors costing 1: a share of what always answering the same
    costs."""

    p_target: float
    """The prior."""
    min_dcf: float
    """At the best threshold for this list."""
    min_dcf_interval: list[float]
    act_dcf: float | None
    """At the log-likelihood ratio's own threshold; null for bare scores."""
    act_dcf_interval: list[float] | None


class ModelRef(TypedDict):
    id: str
    sha256: str


class EmbeddingAnswer(TypedDict):
    embedding: list[float]
    """Unit length; the cosine of two is their score."""
    n_embedding: int
    encoder_id: str
    """Only embeddings of one encoder_id may be compared."""
    audio: list[Audio]
    model: ModelRef
    request_id: str


class EnrollmentAnswer(TypedDict):
    enrollment_id: str
    speech_s: float
    audio: Audio
    created_at: str


class SpeakerAnswer(TypedDict):
    speaker_id: str
    display_name: str | None
    metadata: dict[str, Any]
    status: Literal["empty", "enrolling", "enrolled", "stale"]
    """`stale`: enrolled with another encoder than the one loaded."""
    enrollment_count: int
    speech_s: float
    """Net speech of all enrollments."""
    remaining_speech_s: float
    """Net speech still to enrol before the speaker can be verified."""
    encoder_id: str | None
    created_at: str
    updated_at: str
    consent: dict[str, Any] | None


class EnrolledAnswer(TypedDict):
    enrollments: list[EnrollmentAnswer]
    """Oldest first."""
    flags: list[Literal["replay_suspected"]]
    """Warnings, which by themselves leave the decision alone. `replay_suspected`: the recording was heard before."""
    speaker: SpeakerAnswer


class EnrollmentList(TypedDict):
    enrollments: list[EnrollmentAnswer]
    """Oldest first."""


class ErrorCurveAnswer(TypedDict):
    """Error rates from the loosest threshold to the strictest (DET curve); every list has an entry for each
    threshold."""

    llrs: list[float]
    """Thresholds, rising: accept at this natural-log likelihood ratio or above."""
    fmr: list[float]
    """False-match rate, from 1 to 0."""
    fnmr: list[float]
    """False-non-match rate, from 0 to 1."""
    fmr_intervals: list[list[float]]
    """95 % bootstrap intervals over speakers."""
    fnmr_intervals: list[list[float]]
    n_target: int
    n_non_target: int
    measured_on: str
    """The trials of the operating points, which lie on the curve."""


class ErrorRatesAnswer(TypedDict):
    """One trial list, of speakers that were not trained on.

    A list of the validation speakers is not blind: they chose the checkpoint and fitted the calibration."""

    trials: str
    """Name of the trial list."""
    score: str
    """What the rates were measured on: `llr`, or a bare score such as `cosine`."""
    n_enrollment_clips: int | None
    """Clips behind each reference."""
    n_target: int
    n_non_target: int
    n_speakers: int | None
    eer: float
    eer_interval: list[float] | None
    """95 % bootstrap interval over speakers."""
    min_dcf: float | None
    """The first of `detection_costs`."""
    p_target: float | None
    """The prior behind min_dcf."""
    detection_costs: list[DetectionCostAnswer]
    calibrated: CalibratedRatesAnswer | None
    """At the thresholds that the bundle ships; null where they were not tried on this list. `eer` and `min_dcf`
    above choose a threshold on the list itself."""


class Threshold(TypedDict):
    operating_point: str
    llr: float
    """Accept at this natural-log likelihood ratio or above."""
    score: float | None
    """The score at which this very trial would meet it, which depends on the speech, the clips and the noise on both
    sides; of an identification, the best candidate's trial. null where no score would, or there is none."""
    fmr: float
    """False-match rate measured there."""
    fnmr: float
    """False-non-match rate measured there."""
    calibration_id: str


class IdentificationAnswer(TypedDict):
    decision: Literal["accept", "reject", "inconclusive"]
    reasons: list[str]
    flags: list[Literal["replay_suspected"]]
    """Warnings, which by themselves leave the decision alone. `replay_suspected`: the recording was heard before."""
    candidates: list[CandidateAnswer]
    """One a person, best first, at most top_k."""
    threshold: Threshold
    audio: list[Audio]
    model: ModelRef
    request_id: str


class KeyAnswer(TypedDict):
    key_id: str
    name: str
    tenant: str
    scopes: list[
        Literal["compare", "enroll", "verify", "identify", "erase", "force", "embeddings", "scores", "metrics", "admin"]
    ]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    """To the minute, and some minutes late."""


class KeyIn(TypedDict):
    """A key to be."""

    name: str
    """Who or what uses it, for people."""
    tenant: NotRequired[str]
    """Whose speakers it sees."""
    scopes: list[
        Literal["compare", "enroll", "verify", "identify", "erase", "force", "embeddings", "scores", "metrics", "admin"]
    ]
    """What it may do."""
    expires_at: NotRequired[str | None]
    """With a time zone; null: no end."""


class KeyList(TypedDict):
    keys: list[KeyAnswer]
    """Of every tenant, oldest first, the ended ones too."""


class MadeKeyAnswer(TypedDict):
    key: str
    """The key itself, shown this once."""
    about: KeyAnswer


class OperatingPointAnswer(TypedDict):
    name: str
    llr: float
    score: float | None
    """The cosine that meets it between two clips with three seconds of net speech each and no noise worth measuring.
    Every trial has its own, which its answer gives. null where none meets it, or where it depends on the voices
    because scores are normalised."""
    fmr: float
    fnmr: float
    fmr_interval: list[float]
    """95 % bootstrap interval over speakers."""
    fnmr_interval: list[float]
    n_target: int
    n_non_target: int
    measured_on: str
    """Where llr, fmr and fnmr come from: the speakers that calibration and threshold were fitted on.
    `error_rates[].calibrated` has the rates of the same threshold on other lists."""


class ModelAnswer(TypedDict):
    id: str
    sha256: str
    """Of `bundle.json`, which pins every file of the bundle."""
    encoder_id: str
    """Hash of front end and weights; it alone decides what may be compared."""
    n_embedding: int
    calibration_id: str
    default_operating_point: str
    prior: float
    operating_points: list[OperatingPointAnswer]
    error_curve: ErrorCurveAnswer | None
    """What other thresholds come to, on the trials of `operating_points`. null where the bundle has none."""
    error_rates: list[ErrorRatesAnswer]
    """As measured on each trial list."""
    licence: str
    training_data: dict[str, Any] | None
    """What the encoder was trained on, as its card has it."""
    limits: list[str]
    """What this encoder must not be trusted with."""
    card: str | None
    """The model card as Markdown: data and licences, rates with intervals, slices, limits, whom it serves worse.
    null where the bundle has none."""
    presentation_attack_detection: bool
    presentation_attack_notice: str
    device: str
    engine: str


class RotationIn(TypedDict):
    """How a key is replaced."""

    overlap_s: NotRequired[int]
    """How long the old key stays valid, in seconds."""


class SpeakerIn(TypedDict):
    """A speaker to be; every field may be left out."""

    speaker_id: NotRequired[str | None]
    """The caller's own id; left out, one is made."""
    display_name: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any]]
    """The caller's own JSON object, at most 4 KiB and 16 levels deep. It is kept, never used."""
    consent: NotRequired[Consent | None]


class SpeakerList(TypedDict):
    speakers: list[SpeakerAnswer]
    next_cursor: str | None
    """Pass it as `cursor` for the next page; null on the last."""


class SpeakerPatch(TypedDict):
    """What to change: a field left out stays, null clears it."""

    display_name: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    consent: NotRequired[Consent | None]


class VerificationAnswer(TypedDict):
    decision: Literal["accept", "reject", "inconclusive"]
    reasons: list[str]
    """Why it is inconclusive; empty on a plain accept or reject."""
    flags: list[Literal["replay_suspected"]]
    """Warnings, which by themselves leave the decision alone. `replay_suspected`: the recording was heard before."""
    score: float | None
    """null where a clip gave no embedding."""
    score_scale: Literal["cosine"]
    llr: float | None
    probability: float | None
    """sigmoid(llr + logit(prior))."""
    prior: float
    threshold: Threshold
    speaker_id: str | None
    audio: list[Audio]
    """One for each clip sent, in the order of the call."""
    model: ModelRef
    request_id: str
