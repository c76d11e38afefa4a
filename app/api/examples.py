"""One example for every body. A test holds each to the schema of its call."""

from __future__ import annotations

from typing import Any

from app.api.model_schema import NO_ATTACK_DETECTION
from app.api.openapi import EXAMPLE_REQUEST_ID

AUDIO: dict[str, Any] = {
    "duration_s": 3.2,
    "speech_s": 2.7,
    "snr_db": 24.1,
    "clipped_fraction": 0.0,
    "sample_rate_hz": 48000,
    "channels": 2,
    "format": "webm/opus",
}
THRESHOLD: dict[str, Any] = {
    "operating_point": "eer",
    "llr": 0.6,
    "score": 0.44,
    "fmr": 0.021,
    "fnmr": 0.021,
    "calibration_id": "5d0c7a41e2b9f036",
}
MODEL_REF: dict[str, Any] = {
    "id": "default-9f2ab3c4-5d0c7a41",
    "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
}
VERIFICATION: dict[str, Any] = {
    "decision": "accept",
    "reasons": [],
    "flags": [],
    "score": 0.71,
    "score_scale": "cosine",
    "llr": 4.2,
    "probability": 0.985226,
    "prior": 0.5,
    "threshold": THRESHOLD,
    "speaker_id": "alice",
    "audio": [AUDIO],
    "model": MODEL_REF,
    "request_id": EXAMPLE_REQUEST_ID,
}
COMPARISON: dict[str, Any] = {**VERIFICATION, "speaker_id": None, "audio": [AUDIO, {**AUDIO, "format": "wav"}]}
IDENTIFICATION: dict[str, Any] = {
    "decision": "accept",
    "reasons": [],
    "flags": [],
    "candidates": [
        {
            "speaker_id": "alice",
            "display_name": "Alice Example",
            "score": 0.71,
            "llr": 4.2,
            "probability": 0.985226,
            "decision": "accept",
        },
        {
            "speaker_id": "spk_Zm9vYmFyYmF6cXV4MTIzNA",
            "display_name": None,
            "score": 0.12,
            "llr": -6.1,
            "probability": 0.002238,
            "decision": "reject",
        },
    ],
    "threshold": THRESHOLD,
    "audio": [AUDIO],
    "model": MODEL_REF,
    "request_id": EXAMPLE_REQUEST_ID,
}
CONSENT: dict[str, Any] = {
    "purpose": "call-centre login",
    "given_at": "2026-05-04T09:30:00Z",
    "expires_at": "2027-05-04T09:30:00Z",
}
SPEAKER_IN: dict[str, Any] = {
    "speaker_id": "alice",
    "display_name": "Alice Example",
    "metadata": {"customer": 4711},
    "consent": CONSENT,
}
SPEAKER_PATCH: dict[str, Any] = {"display_name": "Alice E.", "consent": None}
SPEAKER: dict[str, Any] = {
    "speaker_id": "alice",
    "display_name": "Alice Example",
    "metadata": {"customer": 4711},
    "status": "enrolling",
    "enrollment_count": 1,
    "speech_s": 2.7,
    "remaining_speech_s": 2.3,
    "encoder_id": "9f2ab3c4d5e6f708",
    "created_at": "2026-05-04T09:31:00Z",
    "updated_at": "2026-05-04T09:31:12Z",
    "consent": CONSENT,
}
NEW_SPEAKER: dict[str, Any] = {
    **SPEAKER,
    "status": "empty",
    "enrollment_count": 0,
    "speech_s": 0.0,
    "remaining_speech_s": 5.0,
    "encoder_id": None,
    "updated_at": "2026-05-04T09:31:00Z",
}
SPEAKERS: dict[str, Any] = {"speakers": [SPEAKER], "next_cursor": None}
ENROLLMENT: dict[str, Any] = {
    "enrollment_id": "enr_1",
    "speech_s": 2.7,
    "audio": AUDIO,
    "created_at": "2026-05-04T09:31:12Z",
}
ENROLLMENTS: dict[str, Any] = {"enrollments": [ENROLLMENT]}
ENROLLED: dict[str, Any] = {"enrollments": [ENROLLMENT], "flags": [], "speaker": SPEAKER}
EMBEDDING: dict[str, Any] = {
    "embedding": [0.6, -0.8],
    "n_embedding": 2,
    "encoder_id": "9f2ab3c4d5e6f708",
    "audio": [AUDIO],
    "model": MODEL_REF,
    "request_id": EXAMPLE_REQUEST_ID,
}
MODEL: dict[str, Any] = {
    "id": MODEL_REF["id"],
    "sha256": MODEL_REF["sha256"],
    "encoder_id": "9f2ab3c4d5e6f708",
    "n_embedding": 192,
    "calibration_id": THRESHOLD["calibration_id"],
    "default_operating_point": "eer",
    "prior": 0.5,
    "operating_points": [
        {
            "name": "eer",
            "llr": 0.6,
            "score": 0.44,
            "fmr": 0.021,
            "fnmr": 0.021,
            "fmr_interval": [0.017, 0.026],
            "fnmr_interval": [0.015, 0.028],
            "n_target": 4000,
            "n_non_target": 40000,
            "measured_on": "40 validation speakers, all pairs: those that the calibration was fitted on",
        }
    ],
    "error_curve": {
        "llrs": [-6.1, 0.6, 7.3],
        "fmr": [1.0, 0.021, 0.0],
        "fnmr": [0.0, 0.021, 1.0],
        "fmr_intervals": [[1.0, 1.0], [0.017, 0.026], [0.0, 0.0]],
        "fnmr_intervals": [[0.0, 0.0], [0.015, 0.028], [1.0, 1.0]],
        "n_target": 4000,
        "n_non_target": 40000,
        "measured_on": "40 validation speakers, all pairs: those that the calibration was fitted on",
    },
    "error_rates": [
        {
            "trials": "librispeech-test-other",
            "score": "llr",
            "n_enrollment_clips": 1,
            "n_target": 4000,
            "n_non_target": 40000,
            "n_speakers": 33,
            "eer": 0.011,
            "eer_interval": [0.008, 0.015],
            "min_dcf": 0.12,
            "p_target": 0.01,
            "detection_costs": [
                {
                    "p_target": 0.01,
                    "min_dcf": 0.12,
                    "min_dcf_interval": [0.08, 0.17],
                    "act_dcf": 0.15,
                    "act_dcf_interval": [0.1, 0.22],
                }
            ],
            "calibrated": {
                "calibration_id": "5d0c7a41e2b9f036",
                "cllr_bits": 0.061,
                "cllr_bits_interval": [0.049, 0.078],
                "min_cllr_bits": 0.045,
                "min_cllr_bits_interval": [0.034, 0.059],
                "fmr": {"eer": 0.014},
                "fmr_interval": {"eer": [0.01, 0.019]},
                "fnmr": {"eer": 0.009},
                "fnmr_interval": {"eer": [0.005, 0.014]},
            },
        }
    ],
    "licence": "Apache-2.0",
    "training_data": {"corpora": ["librispeech-train-clean"], "n_speakers": 251},
    "limits": ["Read English speech, mostly; other languages and telephone speech were not measured."],
    "card": "# Model card: default-9f2ab3c4-5d0c7a41\n\n## Whom it serves worse\n\n- **Children**: EER 4.70 %, against 2.10 % for adults.\n",
    "presentation_attack_detection": False,
    "presentation_attack_notice": NO_ATTACK_DETECTION,
    "device": "cpu",
    "engine": "torchscript",
}

KEY: dict[str, Any] = {
    "key_id": "0f3c9a61d27be584",
    "name": "call centre",
    "tenant": "default",
    "scopes": ["verify"],
    "created_at": "2026-05-04T09:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": "2026-05-04T09:31:00Z",
}
KEY_IN: dict[str, Any] = {"name": "call centre", "tenant": "default", "scopes": ["verify"], "expires_at": None}
KEYS: dict[str, Any] = {"keys": [KEY]}
MADE_KEY: dict[str, Any] = {
    "key": f"vouch_{KEY['key_id']}_{'0' * 64}",
    "about": {**KEY, "last_used_at": None},
}
ROTATION: dict[str, Any] = {"overlap_s": 86400}

METRICS = """# HELP vouch_stage_seconds Time that one request spent in a stage, all its clips together.
# TYPE vouch_stage_seconds histogram
vouch_stage_seconds_bucket{le="0.1",stage="encode"} 3.0
vouch_stage_seconds_bucket{le="0.25",stage="encode"} 40.0
vouch_stage_seconds_bucket{le="+Inf",stage="encode"} 40.0
vouch_stage_seconds_count{stage="encode"} 40.0
vouch_stage_seconds_sum{stage="encode"} 5.12
"""
