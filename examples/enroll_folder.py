"""Enrols everybody whose clips lie in a folder: `alice-1.wav` and `alice-2.wav` are Alice's.

python examples/enroll_folder.py examples/clips --pattern 'speaker-?-[12].ogg'
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from vouch_client import BadClip, SpeakerExists, Vouch


def clips_by_speaker(folder: Path, pattern: str) -> dict[str, list[Path]]:
    """The speaker is what stands before the last hyphen."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob(pattern)):
        found[path.stem.rpartition("-")[0]].append(path)
    return found


def enroll(vouch: Vouch, speaker_id: str, clips: list[Path]) -> str:
    try:
        vouch.create_speaker(speaker_id=speaker_id)
    except SpeakerExists:
        return "is enrolled already; erase the speaker to begin anew"
    try:
        speaker = vouch.enroll(speaker_id, clips)["speaker"]
    except BadClip as error:
        vouch.erase_speaker(speaker_id)
        return f"was not enrolled: {error}"
    if speaker["status"] == "enrolled":
        return f"is enrolled with {speaker['speech_s']:.1f} s of speech"
    return f"needs {speaker['remaining_speech_s']:.1f} s more of speech"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pattern", default="*-*", help="which files of the folder, as a shell has it")
    arguments = parser.parse_args()
    with Vouch() as vouch:
        for speaker_id, clips in clips_by_speaker(arguments.folder, arguments.pattern).items():
            print(speaker_id, enroll(vouch, speaker_id, clips))


if __name__ == "__main__":
    main()
