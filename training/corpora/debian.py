"""Spoken words out of Debian's packages: DIR/PACKAGE/usr/..., each package unpacked by `dpkg-deb -x`.

Games, alphabet tutors and telephone prompts carry single words and sentences of volunteers and voice actors under free
licences; `debian_voices.py` says who speaks where. All of it trains and none of it tests: nearly every voice here has a
language of its own, so telling two apart measures the language and not the voice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.corpora.debian_voices import PACKAGES, VoicePackage
from training.corpora.utterance import AUDIO_SUFFIXES, CorpusError, Utterance


def read_debian(root: Path) -> Iterator[Utterance]:
    """`root` holds a folder for each package, named like it. Packages that are not there are left out.

    Raises CorpusError where there is none of them, and where one holds no speech (another version, another layout).
    """
    found = [package for package in PACKAGES if (root / package.name).is_dir()]
    if not found:
        names = ", ".join(package.name for package in PACKAGES)
        raise CorpusError(f"no package below {root}; give the folder into which {names} were unpacked")
    for package in found:
        yield from _read_package(root / package.name, package)


def _read_package(folder: Path, package: VoicePackage) -> Iterator[Utterance]:
    sounds = folder / package.sounds
    empty = True
    for audio in sorted(path for path in sounds.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        match = package.pattern.fullmatch(audio.relative_to(sounds).as_posix())
        voice = package.voices.get(match["voice"]) if match else None
        if voice is None:
            continue
        empty = False
        yield Utterance(
            path=audio.resolve(),
            corpus="debian",
            speaker=f"debian-{voice.speaker}",
            session=package.name,
            gender=voice.gender,
            split="train",
        )
    if empty:
        raise CorpusError(f"no speech below {sounds}; unpack {package.name} into {folder} with `dpkg-deb -x`")
