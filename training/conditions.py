"""Named conditions that a clip is heard under: whole, cut short, in noise, over a line.

A condition is a function of a clip's samples, a voice-activity detector and a seeded generator. It gives the clip as it
would then arrive, or None where there is no such clip: three seconds of speech cannot be cut out of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from model.quality import Detector, speech_windows
from model.waveform import SAMPLE_RATE_HZ, Samples
from training.augment.codecs import CODECS, random_codec
from training.augment.noise import coloured_noise, mix_at_snr

Condition = Callable[[Samples, Detector, np.random.Generator], Samples | None]

NOISE_SLOPES_DB_PER_OCTAVE = (-6.0, 0.0)
"""Brown to white: the range of rooms, streets and machines."""
ROUNDING_S = 1e-9


def full(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:  # noqa: ARG001 - a Condition
    """The clip as it is."""
    return samples


def cut_to(speech_s: float) -> Condition:
    """The clip with `speech_s` seconds of net speech left, as if the speaker had said no more."""

    def condition(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:
        return shortened(samples, speech_in_windows(samples, detector), detector.n_window_samples, speech_s, rng)

    return condition


def cut_between(shortest_s: float, longest_s: float) -> Condition:
    """The same for a random net speech between the two, or between the shorter one and all there is; log-uniform."""

    def condition(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:
        windows_s = speech_in_windows(samples, detector)
        available_s = min(longest_s, float(windows_s.sum()))
        if available_s < shortest_s:
            return None
        speech_s = math.exp(rng.uniform(math.log(shortest_s), math.log(available_s)))
        return shortened(samples, windows_s, detector.n_window_samples, speech_s, rng)

    return condition


def in_noise(lowest_db: float, highest_db: float) -> Condition:
    """Coloured noise under the whole clip, at a signal-to-noise ratio between the two."""

    def condition(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:  # noqa: ARG001
        slope = float(rng.uniform(*NOISE_SLOPES_DB_PER_OCTAVE))
        noise = coloured_noise(len(samples), slope, rng)
        return mix_at_snr(samples, noise, float(rng.uniform(lowest_db, highest_db)))

    return condition


def through(codec: str) -> Condition:
    """Encoded and decoded by one of `training.augment.codecs.CODECS`, at its lowest rate."""

    def condition(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:  # noqa: ARG001
        return CODECS[codec](samples)

    return condition


def through_any(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:  # noqa: ARG001
    """Through a random codec at a random rate."""
    return random_codec(samples, rng)


def one_after_another(*conditions: Condition) -> Condition:
    """Each condition over what the one before it left; None as soon as one gives None."""

    def condition(samples: Samples, detector: Detector, rng: np.random.Generator) -> Samples | None:
        changed: Samples | None = samples
        for each in conditions:
            if changed is None:
                return None
            changed = each(changed, detector, rng)
        return changed

    return condition


CONDITIONS: Mapping[str, Condition] = {
    "full": full,
    "speech_1s": cut_to(1.0),
    "speech_2s": cut_to(2.0),
    "speech_3s": cut_to(3.0),
    "speech_5s": cut_to(5.0),
    "snr_20db": in_noise(20.0, 20.0),
    "snr_10db": in_noise(10.0, 10.0),
    "snr_5db": in_noise(5.0, 5.0),
    "telephone": through("telephone"),
    "opus": through("opus"),
    "mp3": through("mp3"),
}
"""What a report slices by."""


def speech_in_windows(samples: Samples, detector: Detector) -> NDArray[np.float64]:
    """Seconds of speech in each of the detector's windows, (n_windows,), as `model.quality.assess` counts them."""
    n_window_samples = detector.n_window_samples
    if len(samples) < n_window_samples:
        return np.zeros(0)
    centred = samples - np.float32(samples.mean(dtype=np.float64))
    is_speech = speech_windows(detector.probabilities(centred))
    n_real = np.minimum(n_window_samples, len(samples) - n_window_samples * np.arange(len(is_speech)))
    return is_speech * n_real / SAMPLE_RATE_HZ


def shortened(
    samples: Samples, windows_s: NDArray[np.float64], n_window_samples: int, speech_s: float, rng: np.random.Generator
) -> Samples | None:
    """The pause before, a stretch that holds `speech_s` of speech or a window more, and the pause after.

    People press a button, wait, speak and wait again: clips with little speech are short of speech, not of pauses, and
    the noise in those is still there to be measured. `windows_s` is the speech in each window. Where the stretch begins is
    drawn evenly among the windows of speech that have enough of it from there on; None where there are none.
    """
    until = np.concatenate([[0.0], np.cumsum(windows_s)])
    starts = np.flatnonzero((windows_s > 0) & (until[-1] - until[:-1] >= speech_s - ROUNDING_S))
    if len(starts) == 0:
        return None
    spoken = np.flatnonzero(windows_s > 0)
    first = int(rng.choice(starts))
    last = int(np.searchsorted(until, until[first] + speech_s - ROUNDING_S))
    pieces = ((0, int(spoken[0])), (first, last), (int(spoken[-1]) + 1, len(windows_s)))
    return np.concatenate([samples[begin * n_window_samples : end * n_window_samples] for begin, end in pieces])
