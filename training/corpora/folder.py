"""A plain tree: SPEAKER/**/AUDIO, in any format that the decoder reads, or NIST SPHERE named .wav.

What lies below a speaker's folder in a folder of its own is a session. There are no splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.corpora.utterance import AUDIO_SUFFIXES, CorpusError, Utterance

HOW = "give the folder that holds a folder for each speaker"


def read_folder(root: Path) -> Iterator[Utterance]:
    """`root` holds the speakers' folders. Raises CorpusError where it holds no clip, or a clip beside the folders."""
    corpus = root.resolve().name
    found = False
    for audio in sorted(path for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()):
        speaker, *below = audio.relative_to(root).parts
        if any(part.startswith(".") for part in (speaker, *below)):
            continue  # what file managers leave
        if not below:
            raise CorpusError(f"{audio.name} lies in {root} and belongs to no speaker; {HOW}")
        found = True
        yield Utterance(
            path=audio.resolve(),
            corpus=corpus,
            speaker=f"{corpus}/{speaker}",
            session="/".join(below[:-1]) or "1",
            gender="",
            split=None,
        )
    if not found:
        raise CorpusError(f"no audio below {root}; {HOW}, with clips named {', '.join(sorted(AUDIO_SUFFIXES))}")
