"""Is it the person that the login says? Exits with 0 for yes, 1 for no, 2 where the question has no answer yet.

    python examples/verify_at_login.py speaker-a examples/clips/speaker-a-3.ogg

A voice is one factor of several: a recording or a synthetic voice of the speaker may pass.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vouch_client import BadClip, NotEnrolled, SpeakerNotFound, TryLater, Unreachable, Vouch

YES, NO, ASK_AGAIN = 0, 1, 2

ADVICE = {
    "not_enough_speech": "Please say a whole sentence, or two.",
    "too_noisy": "Please come closer to the microphone, or go where it is quieter.",
}


def login(vouch: Vouch, speaker_id: str, clip: Path) -> tuple[int, str]:
    """What to do, and what to say."""
    try:
        # At a door a stranger costs more than a second try of the owner: not the default operating point.
        answer = vouch.verify(speaker_id, clip, operating_point="fmr_1e-2")
    except (SpeakerNotFound, NotEnrolled):
        # The same words as for another voice, so that nobody learns here who is enrolled.
        return NO, "That did not work."
    except BadClip as error:
        return ASK_AGAIN, f"The recording cannot be used: {error}"
    except (TryLater, Unreachable):
        return ASK_AGAIN, "Voices cannot be checked at the moment. Please use your password."
    if answer["decision"] == "inconclusive":
        return ASK_AGAIN, " ".join(ADVICE.get(reason, "Please try again.") for reason in answer["reasons"])
    if answer["decision"] == "accept":
        return YES, f"Welcome, {speaker_id}."
    return NO, "That did not work."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speaker_id")
    parser.add_argument("clip", type=Path)
    arguments = parser.parse_args()
    with Vouch() as vouch:
        status, said = login(vouch, arguments.speaker_id, arguments.clip)
    print(said)
    sys.exit(status)


if __name__ == "__main__":
    main()
