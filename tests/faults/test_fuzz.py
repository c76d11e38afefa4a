"""`make fuzz`, shortened: damaged clips of every format cost nobody but their caller anything."""

from pathlib import Path

import fuzz as fuzzing
import fuzz_clips
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc"),
]

N_CLIPS = 1_500


def test_damaged_clips_are_refused_or_heard_and_no_child_is_lost(tmp_path: Path) -> None:
    tally = fuzzing.fuzz(N_CLIPS, seed=7, kept=tmp_path, max_s=20.0)
    assert tally.errors == []
    assert tally.lost == 0
    assert 0 < tally.peak_kb <= fuzzing.PEAK_CAP_MB * 1024
    assert tally.outcomes["decoded"] > 0
    assert tally.outcomes["CorruptAudio"] > 0


def test_clips_are_made_anew_from_their_seed() -> None:
    healthy = fuzz_clips.seeds()[:3]
    made = [fuzz_clips.mutated(healthy, 7, number) for number in range(50)]
    assert made == [fuzz_clips.mutated(healthy, 7, number) for number in range(50)]
    assert len(set(made)) > 40
