"""Where in a clip somebody speaks: Silero's voice-activity detector, as one graph that ONNX Runtime runs on the CPU.

The wheel's own loop feeds the network one window at a time and keeps its state inside the module, so that two threads
would spoil each other's. Here a clip is one call, without a lock, that other threads of the interpreter need not wait
for. `training.detector_graph` makes the graph from the wheel's weights; a parity test holds it to the wheel's numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.onnx_encoder import open_session
from model.waveform import SAMPLE_RATE_HZ, Samples

GRAPH = Path(__file__).with_name("speech_detector.onnx")
GRAPH_SHA256 = "04c0724d40efd643af2ac03e1f687e9f6e1a29b77c5e2b7d2116753d1c90e739"
"""Whoever makes the graph anew puts its hash here."""
N_WINDOW_SAMPLES = 512
"""32 ms, the only window that the network knows at 16 kHz."""
N_CONTEXT_SAMPLES = 64
"""How much of the window before it the network sees with each window, and how much of its end it sees mirrored."""
STATE_SHAPE = (1, 1, 128)
"""Of each of the LSTM's two."""
_N_WINDOWS_AT_ONCE = 512
"""16 s: what runs at once, so that the memory of a long clip is that of a short one."""


class SpeechDetector:
    """Safe to call from any number of threads at once."""

    n_window_samples = N_WINDOW_SAMPLES

    def __init__(self, graph: Path = GRAPH) -> None:
        """Raises BundleError where `graph` is not, byte for byte, the one that ships."""
        if SAMPLE_RATE_HZ != 16_000:
            raise ValueError("the detector's network hears 16 kHz")
        self._session = open_session(graph, GRAPH_SHA256)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Probability of speech in each window.

        (n_samples,) float32 in [-1, 1] -> (ceil(n_samples / 512),) float32; zeros are added behind the last window.
        """
        n_windows = -(-len(samples) // N_WINDOW_SAMPLES)
        padded = np.zeros(N_CONTEXT_SAMPLES + n_windows * N_WINDOW_SAMPLES, dtype=np.float32)
        padded[N_CONTEXT_SAMPLES : N_CONTEXT_SAMPLES + len(samples)] = samples
        hidden = cell = np.zeros(STATE_SHAPE, dtype=np.float32)
        found = [np.zeros(0, dtype=np.float32)]
        for first in range(0, n_windows, _N_WINDOWS_AT_ONCE):
            last = min(first + _N_WINDOWS_AT_ONCE, n_windows)
            some = padded[first * N_WINDOW_SAMPLES : last * N_WINDOW_SAMPLES + N_CONTEXT_SAMPLES]
            probabilities, hidden, cell = self._session.run(None, {"samples": some, "hidden": hidden, "cell": cell})
            found.append(probabilities)
        return np.concatenate(found)
