"""What is suspicious about labels and clips: looked for before anybody trains on them.

Speakers are people only as far as a corpus's labels are right, and every error rate rests on them. Nothing here listens:
a finding is a fact about names, numbers or equal samples, and a person decides what it means.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from training.corpora.utterance import Utterance

MIN_DURATION_S = 0.3
"""A syllable. Shorter clips teach little, and nothing scores them."""
SILENCE_PEAK = 1e-3
"""-60 dB below full scale: less than the noise of any microphone that was switched on."""


@dataclass(frozen=True)
class ReadClip:
    utterance: Utterance
    duration_s: float
    sha256: str
    """Of the decoded samples: equal for the same audio under two names, also in another lossless container."""
    peak: float
    """Largest absolute sample, full scale is 1."""

    @property
    def is_silent(self) -> bool:
        return self.peak < SILENCE_PEAK


@dataclass(frozen=True)
class Finding:
    """One kind of suspicion and everything it was found on."""

    kind: str
    what: str
    """For people: what each case is, and what was done about it."""
    cases: tuple[tuple[str, ...], ...]
    """Speakers or paths that belong together, one tuple a case."""
    is_error: bool = False
    """The data set is not written."""


def find_hazards(clips: Sequence[ReadClip]) -> list[Finding]:
    """All that is suspicious among clips that were read, errors first; kinds without a case are left out."""
    utterances = [clip.utterance for clip in clips]
    found = [
        *_same_audio(clips),
        Finding("silent", f"never louder than {SILENCE_PEAK:g} of full scale; left out", _paths(c for c in clips if c.is_silent)),
        Finding(
            "short",
            f"shorter than {MIN_DURATION_S:g} s; kept",
            _paths(c for c in clips if c.duration_s < MIN_DURATION_S and not c.is_silent),
        ),
        Finding("one_clip", "speakers with one clip: no target trial, and nothing to tell voice from words", _with_one(utterances, by_clip=True)),
        Finding("one_session", "speakers with one session: their target trials share room and device", _with_one(utterances, by_clip=False)),
        Finding("genders", "speakers whose clips disagree about the gender: perhaps two persons", _two_genders(utterances)),
        Finding("spelling", "names of one corpus that differ in case or leading zeros only: perhaps one person", _alike_names(utterances)),
        Finding("two_corpora", "a name that two corpora use: perhaps one person", _names_in_two_corpora(utterances)),
    ]  # fmt: skip
    return sorted((finding for finding in found if finding.cases), key=lambda finding: not finding.is_error)


def without_repeats_and_silence(clips: Sequence[ReadClip]) -> list[ReadClip]:
    """What is trained on, in the order given: each audio once, nothing silent.

    Of copies under one speaker the first by path stays. Audio that two speakers claim stays with neither, since one of
    the labels is wrong and nothing says which.
    """
    kept = {same[0] for same in _by_audio(clips) if len({clips[i].utterance.speaker for i in same}) == 1}
    return [clip for i, clip in enumerate(clips) if i in kept]


def _by_audio(clips: Sequence[ReadClip]) -> list[list[int]]:
    """Positions of the clips that sound, in groups of the same audio, each sorted by path."""
    groups = defaultdict(list)
    for i in sorted(range(len(clips)), key=lambda i: str(clips[i].utterance.path)):
        if not clips[i].is_silent:  # silence is all alike
            groups[clips[i].sha256].append(i)
    return list(groups.values())


def _same_audio(clips: Sequence[ReadClip]) -> list[Finding]:
    copies = Finding("copies", "the same audio twice under one speaker; the first is kept", ())
    two_speakers = Finding("two_speakers", "the same audio under two speakers; left out, since one label is wrong", ())
    two_splits = Finding(
        "two_splits",
        "the same audio under two speakers in two splits: what is measured would have been trained on",
        (),
        is_error=True,
    )
    cases: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for same in _by_audio(clips):
        if len(same) > 1:
            utterances = [clips[i].utterance for i in same]
            speakers, splits = {u.speaker for u in utterances}, {u.split for u in utterances}
            kind = copies if len(speakers) == 1 else two_speakers if len(splits) == 1 else two_splits
            cases[kind.kind].append(tuple(str(u.path) for u in utterances))
    return [replace(kind, cases=tuple(cases[kind.kind])) for kind in (copies, two_speakers, two_splits)]


def _paths(clips: Iterable[ReadClip]) -> tuple[tuple[str, ...], ...]:
    return tuple((path,) for path in sorted(str(clip.utterance.path) for clip in clips))


def _with_one(utterances: Sequence[Utterance], *, by_clip: bool) -> tuple[tuple[str, ...], ...]:
    seen = defaultdict(set)
    for u in utterances:
        seen[u.speaker].add(str(u.path) if by_clip else u.session)
    return tuple((speaker,) for speaker in sorted(seen) if len(seen[speaker]) == 1)


def _two_genders(utterances: Sequence[Utterance]) -> tuple[tuple[str, ...], ...]:
    seen = defaultdict(set)
    for u in utterances:
        if u.gender:
            seen[u.speaker].add(u.gender)
    return tuple((speaker,) for speaker in sorted(seen) if len(seen[speaker]) > 1)


def own_name(utterance: Utterance) -> str:
    """The corpus's own label: readers put the corpus in front of it."""
    return utterance.speaker.removeprefix(utterance.corpus).lstrip("-/")


def _alike_names(utterances: Sequence[Utterance]) -> tuple[tuple[str, ...], ...]:
    alike = defaultdict(set)
    for u in utterances:
        alike[u.corpus, re.sub(r"(?<!\d)0+(?=\d)", "", own_name(u).casefold())].add(u.speaker)
    return tuple(tuple(sorted(speakers)) for _, speakers in sorted(alike.items()) if len(speakers) > 1)


def _names_in_two_corpora(utterances: Sequence[Utterance]) -> tuple[tuple[str, ...], ...]:
    named = defaultdict(set)
    for u in utterances:
        named[own_name(u)].add((u.corpus, u.speaker))
    return tuple(
        tuple(sorted(speaker for _, speaker in who))
        for _, who in sorted(named.items())
        if len({corpus for corpus, _ in who}) > 1
    )
