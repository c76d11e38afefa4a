"""Answers in words: the decision in a line, then what it rests on and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from model.decision import Outcome

if TYPE_CHECKING:
    from vouch_client.schemas import (
        Audio,
        EnrolledAnswer,
        IdentificationAnswer,
        SpeakerAnswer,
        Threshold,
        VerificationAnswer,
    )

STYLES: Mapping[Outcome, str] = {"accept": "bold green", "reject": "bold red", "inconclusive": "bold yellow"}
WHAT_HELPS: Mapping[str, str] = {
    "not_enough_speech": "a clip has too little speech. Send a longer one in which the person keeps talking.",
    "too_noisy": "the noise in a clip is too loud beside the speech. Record closer to the microphone, or in a quieter place.",
    "ambiguous": "the best candidate does not stand clear of the second. Send more speech, or verify the person who is claimed.",
    "empty_gallery": "nobody is enrolled yet, so there is nobody to search among.",
    "replay_suspected": "the recording was heard before, and VOUCH_REPLAY_POLICY refuses it. Make a new one.",
}
FLAGS: Mapping[str, str] = {"replay_suspected": "the recording was heard before. See that nobody plays it back."}


def show_verification(answer: VerificationAnswer, names: Sequence[str]) -> None:
    """`names` are those of the clips, in the order of the call."""
    whom = answer["speaker_id"]
    said: Mapping[Outcome, str] = {
        "accept": "the same voice" if whom is None else f"this is {whom}",
        "reject": "two voices" if whom is None else f"this is not {whom}",
        "inconclusive": "not enough to decide on",
    }
    decision = answer["decision"]
    _headline(decision, f"{said[decision]}; {_evidence(answer['probability'], answer['llr'], answer['threshold'])}")
    _show_why(answer["reasons"], answer["flags"])
    _show_clips(names, answer["audio"])


def show_identification(answer: IdentificationAnswer, name: str) -> None:
    candidates, decision = answer["candidates"], answer["decision"]
    said: Mapping[Outcome, str] = {
        "accept": f"this is {candidates[0]['speaker_id']}" if candidates else "",
        "reject": "nobody who is enrolled",
        "inconclusive": "not enough to decide on",
    }
    _headline(decision, f"{said[decision]}; threshold {answer['threshold']['operating_point']}")
    for rank, one in enumerate(candidates, 1):
        known_as = f" ({one['display_name']})" if one["display_name"] else ""
        alone = "accepted" if one["decision"] == "accept" else "not accepted"
        say(
            f"  {rank}. {one['speaker_id']}{known_as}: probability {one['probability']:.2f}, llr {one['llr']:.2f}; "
            f"{alone} if claimed alone"
        )
    _show_why(answer["reasons"], answer["flags"])
    _show_clips([name], answer["audio"])


def show_enrolled(answer: EnrolledAnswer, names: Sequence[str]) -> None:
    n_clips = len(answer["enrollments"])
    say(f"{n_clips} {'clip' if n_clips == 1 else 'clips'} enrolled; {standing(answer['speaker'])}")
    _show_why([], answer["flags"])
    _show_clips(names, [one["audio"] for one in answer["enrollments"]])


def standing(speaker: SpeakerAnswer) -> str:
    """How far a speaker is, as a sentence."""
    speaker_id, remaining_s = speaker["speaker_id"], speaker["remaining_speech_s"]
    known_as = f" ({speaker['display_name']})" if speaker["display_name"] else ""
    said = {
        "enrolled": f"can be verified, with {speaker['speech_s']:.1f} s of speech",
        "stale": "was enrolled with another encoder, and must be enrolled again",
    }
    return f"{speaker_id}{known_as} {said.get(speaker['status'], f'needs {remaining_s:.1f} s more of speech')}."


def say(text: str) -> None:
    """A line, whole however narrow the terminal is."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def _headline(decision: Outcome, rest: str) -> None:
    _console().print(Text.assemble((decision, STYLES[decision]), f": {rest}"), soft_wrap=True)


def _console() -> Console:
    """A new one, since it keeps the stream that it was made with."""
    return Console()


def _evidence(probability: float | None, llr: float | None, threshold: Threshold) -> str:
    if probability is None or llr is None:
        return "a clip has no voice to measure"
    return (
        f"probability {probability:.2f}; llr {llr:.2f} against {threshold['llr']:.2f} at {threshold['operating_point']}"
    )


def _show_why(reasons: Sequence[str], flags: Sequence[str]) -> None:
    # A later service may know more of both than this release has words for.
    for said, words in ((reasons, WHAT_HELPS), (flags, FLAGS)):
        for one in said:
            say(f"  {one}: {words[one]}" if one in words else f"  {one}")


def _show_clips(names: Sequence[str], clips: Sequence[Audio]) -> None:
    for name, clip in zip(names, clips, strict=True):
        snr = "no SNR" if clip["snr_db"] is None else f"SNR {clip['snr_db']:.1f} dB"
        clipped = f", {clip['clipped_fraction']:.1%} of it clipped" if clip["clipped_fraction"] > 0 else ""
        say(
            f"  {name}: {clip['speech_s']:.1f} s of speech in {clip['duration_s']:.1f} s, {snr}{clipped}, "
            f"{clip['format']} at {clip['sample_rate_hz']} Hz"
        )
