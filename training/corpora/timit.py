"""TIMIT (LDC93S1): {TRAIN,TEST}/DRn/{F,M}xxxn/NAME.WAV, in either case; .WAV is NIST SPHERE or, converted, RIFF.

The SA sentences are read by every speaker and would let a network match words; they are kept, since the article
keeps them, and a session is the speaker's one sitting. TRAIN has no validation speakers: `splits.py` takes some.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.corpora.utterance import CorpusError, Split, Utterance


def read_timit(root: Path) -> Iterator[Utterance]:
    """`root` holds TRAIN and TEST. Raises CorpusError where it holds neither with audio."""
    found = False
    for audio in sorted(path for path in root.glob("*/*/*/*") if path.suffix.lower() == ".wav"):
        part, _dialect, speaker = audio.relative_to(root).parts[:3]
        if part.upper() not in ("TRAIN", "TEST") or audio.name.lower().endswith(".wav.wav"):
            continue  # Kaldi-style conversions leave NAME.WAV.wav beside NAME.WAV
        found = True
        split: Split | None = "test" if part.upper() == "TEST" else None
        yield Utterance(
            path=audio.resolve(),
            corpus="timit",
            speaker=f"timit-{speaker.upper()}",
            session="1",
            gender=speaker[0].lower(),
            split=split,
        )
    if not found:
        raise CorpusError(
            f"no TRAIN|TEST/DRn/SPEAKER/*.WAV below {root}; give the folder that holds TIMIT's TRAIN and TEST"
        )
