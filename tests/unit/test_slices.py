from pathlib import Path

import numpy as np
import pytest

from training.bootstrap import draw_speakers
from training.conditions import CONDITIONS
from training.corpora.utterance import CorpusError
from training.demographics import Speaker, read_demographics
from training.heard import HeardClips
from training.report_rows import GROUPS, slice_label
from training.reports import ALL, Slice
from training.scored_slices import score_slices
from training.slices import condition_slice, demographic_slices, references, restricted, too_few
from training.trials import Trials, all_pairs

PATHS = tuple(Path(f"/voices/{name}.wav") for name in ("a0", "a1", "a2", "a3", "b0", "b1", "c0"))
TRIALS = all_pairs("made", ["a", "a", "a", "a", "b", "b", "c"], PATHS)
WOMAN, MAN, GIRL = Speaker("f", 30.0), Speaker("m", 41.0), Speaker("f", 9.0)


def heard(rows: list[int]) -> HeardClips:
    """Clips at the corners of a square, one corner a speaker, a little apart."""
    angles = np.array([0.0, 0.02, 0.04, 0.06, 1.5, 1.52, 3.0])[rows]
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return HeardClips(np.array(rows, dtype=np.int64), embeddings, np.full(len(rows), 2.0), np.full(len(rows), 20.0))


class Cosines:
    """The mean's cosine, and ten times it as an LLR."""

    def __call__(
        self, references: HeardClips, of_reference: np.ndarray, probes: HeardClips, of_probe: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        means = references.embeddings[of_reference].mean(axis=1)
        means = means / np.linalg.norm(means, axis=1, keepdims=True)
        cosines = (means * probes.embeddings[of_probe]).sum(axis=1).astype(np.float64)
        return cosines, 10.0 * cosines


def test_restricted_trials_keep_their_clips_and_no_others() -> None:
    chosen = (TRIALS.a == 0) & (TRIALS.b >= 4)
    some = restricted(TRIALS, chosen)
    assert [path.stem for path in some.paths] == ["a0", "b0", "b1", "c0"]
    pairs = [(some.paths[i].stem, some.paths[j].stem) for i, j in zip(some.a, some.b, strict=True)]
    assert pairs == [("a0", "b0"), ("a0", "b1"), ("a0", "c0")]
    assert some.n_speakers == 3
    assert draw_speakers(some, 10).sum() == 30


def test_a_reference_is_the_first_clip_and_the_next_of_its_speaker_but_never_the_probe() -> None:
    clips, has_one = references(TRIALS, 3)
    by_pair = {
        (int(a), int(b)): clips[i].tolist()
        for i, (a, b) in enumerate(zip(TRIALS.a, TRIALS.b, strict=True))
        if has_one[i]
    }
    assert by_pair[(0, 4)] == [0, 1, 2]
    assert by_pair[(3, 6)] == [3, 0, 1]
    assert by_pair[(0, 1)] == [0, 2, 3]
    assert by_pair[(2, 3)] == [2, 0, 1]
    assert not {pair for pair in by_pair if pair[0] in (4, 5)}  # b has two clips, c one


def test_people_are_sliced_by_both_clips() -> None:
    people = dict(zip(PATHS, [WOMAN] * 4 + [GIRL] * 2 + [MAN], strict=True))
    found = demographic_slices(TRIALS, people)
    assert {slice_.name: int(chosen.sum()) for slice_, chosen in found.items()} == {
        "female": 15,
        "male": 0,
        "adults": 10,
        "children": 1,
    }
    assert demographic_slices(TRIALS, {}) == {}
    assert {s.name for s in demographic_slices(TRIALS, {PATHS[0]: Speaker("m", None)})} == {"male"}


def test_a_list_says_why_it_cannot_be_sliced() -> None:
    assert too_few(all_pairs("t", [str(i // 10) for i in range(100)])) is None
    assert str(too_few(TRIALS)).startswith("7 target trials of 2 speakers and 14 non-target trials;")
    assert "of 4 speakers" in str(too_few(all_pairs("t", [str(i // 20) for i in range(80)])))


def test_every_condition_has_a_place_and_words() -> None:
    places = {name: condition_slice(name, "both") for name in CONDITIONS if name != "full"}
    assert places["speech_2s"] == Slice("net_speech", "2 s", "both")
    assert places["snr_10db"] == Slice("noise", "10 dB", "both")
    assert places["telephone"] == Slice("codec", "telephone", "both")
    assert {place.group for place in places.values()} <= set(GROUPS)
    assert slice_label(places["speech_2s"], 3) == "2 s of net speech, both clips, against 3 clips"
    assert slice_label(condition_slice("telephone", "probe")) == "8 kHz telephone, probe only"
    assert slice_label(Slice("gender", "female")) == "female voices"
    assert slice_label(ALL) == "all trials"


def test_conditions_are_scored_on_both_clips_and_on_the_probe() -> None:
    short = [0, 1, 2, 4]  # the others hold too little speech
    parts = {
        (part.slice.name, part.slice.on, part.n_enrollment_clips): part
        for part in score_slices(TRIALS, {"full": heard(list(range(7))), "speech_2s": heard(short)}, {}, Cosines())
    }
    everything = parts["all", None, 1]
    assert everything.chosen.all()
    assert everything.cosines[0] == pytest.approx(np.cos(0.02), abs=1e-6)
    assert np.allclose(everything.llrs, 10 * everything.cosines)
    assert parts["all", None, 3].chosen.sum() == 18  # the trials that begin with a clip of a's
    assert parts["2 s", "both", 1].chosen.sum() == 6
    assert parts["2 s", "probe", 1].chosen.sum() == sum(b in short for b in TRIALS.b)
    against_three = parts["2 s", "probe", 3]
    assert set(TRIALS.a[against_three.chosen]) == {0, 1, 2, 3}
    assert against_three.cosines[TRIALS.b[against_three.chosen] == 4] == pytest.approx(
        [np.cos(1.5 - 0.02), np.cos(1.5 - 0.04), np.cos(1.5 - (0.04 + 0.06 + 0.0) / 3), np.cos(1.5 - 0.08 / 3)],
        abs=1e-3,
    )


def test_a_condition_that_no_clip_meets_has_no_trials() -> None:
    empty = HeardClips(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), np.zeros(0), np.zeros(0))
    parts = list(score_slices(TRIALS, {"full": heard(list(range(7))), "speech_5s": empty}, {}, Cosines()))
    assert [int(part.chosen.sum()) for part in parts] == [21, 18, 0, 0, 0]


def test_demographics_are_read_from_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,speaker,gender,age\nx/1.wav,x,F,15\ny/1.wav,y,male,16\nz/1.wav,z,,\n")
    found = read_demographics(tmp_path / "manifest.csv")
    girl, man, unknown = (found[(tmp_path / name).resolve()] for name in ("x/1.wav", "y/1.wav", "z/1.wav"))
    assert (girl.gender, girl.is_child) == ("f", True)
    assert (man.gender, man.is_child) == ("m", False)
    assert (unknown.gender, unknown.is_child) == ("", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,speaker\n", "needs the columns path, and gender or age"),
        ("gender,age\n", "needs the columns path"),
        ("path,age\nx.wav,old\n", "line 2: the age is 'old'"),
    ],
)
def test_a_manifest_without_people_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_demographics(tmp_path / "manifest.csv")


def test_an_absent_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no manifest at"):
        read_demographics(tmp_path / "manifest.csv")


def test_trials_without_paths_can_be_restricted() -> None:
    some = restricted(all_pairs("t", ["x", "x", "y"]), np.array([True, False, True]))
    assert isinstance(some, Trials)
    assert (some.a.tolist(), some.b.tolist(), some.paths) == ([0, 1], [1, 2], ())
