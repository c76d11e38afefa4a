"""Where in a clip somebody speaks: Silero's voice-activity detector, with its wheel's weights, on the CPU.

The wheel's own loop feeds the network one window at a time and keeps its state inside the module, so that two threads
would spoil each other's. Only the LSTM needs the past. Here everything before it runs on many windows at once: the
spectrum by a fast Fourier transform, and each convolution, over the four frames of a window, as one product with a
matrix. The same numbers to 1e-5 (a parity test holds it), no state, no lock, and less than a tenth of the time.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.waveform import SAMPLE_RATE_HZ, Samples

_N_CONTEXT_SAMPLES = 64
"""How much of the window before it the network sees with each window, and how much of its end it sees mirrored."""
_N_FRAME_SAMPLES = 256
_N_HOP_SAMPLES = 128
_N_FRAMES = 4
"""Of each window."""
_STRIDES = (1, 2, 2, 1)
"""Of the convolutions, over frames."""
_N_STATE = 128
_N_WINDOWS_AT_ONCE = 512
"""16 s: what runs at once, so that the memory of a long clip is that of a short one. Its largest block has 2 MiB, which the
service's heap still keeps for the next ones."""


class SpeechDetector:
    """Safe to call from any number of threads at once."""

    n_window_samples = 512
    """32 ms, the only window that the network knows at 16 kHz."""

    def __init__(self) -> None:
        if SAMPLE_RATE_HZ != 16_000:
            raise ValueError("the detector's network hears 16 kHz")
        weights = {name.removeprefix("_model."): value for name, value in load_wheel_model().state_dict().items()}
        self._hann = torch.hann_window(_N_FRAME_SAMPLES, periodic=True)
        _require_spectrum(weights["stft.forward_basis_buffer"][:, 0], self._hann)
        self._layers: list[tuple[Tensor, Tensor]] = []  # (matrix, bias)
        n_steps = _N_FRAMES
        for number, stride in enumerate(_STRIDES):
            name = f"encoder.{number}.reparam_conv"
            matrix, n_steps = _as_matrix(weights[f"{name}.weight"], stride, n_steps)
            self._layers.append((matrix, weights[f"{name}.bias"].repeat(n_steps)))
        self._lstm = nn.LSTM(_N_STATE, _N_STATE)
        self._lstm.load_state_dict(
            {f"{name}_l0": weights[f"decoder.rnn.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        )
        self._lstm.eval()
        self._output = weights["decoder.decoder.2.weight"].flatten()
        self._output_bias = weights["decoder.decoder.2.bias"]

    @torch.inference_mode()
    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Probability of speech in each window.

        (n_samples,) float32 in [-1, 1] -> (ceil(n_samples / 512),) float32; zeros are added behind the last window.
        """
        if len(samples) == 0:
            return np.zeros(0, dtype=np.float32)
        n_padding = -len(samples) % self.n_window_samples
        padded = nn.functional.pad(torch.from_numpy(np.ascontiguousarray(samples)), (_N_CONTEXT_SAMPLES, n_padding))
        windows = padded.unfold(0, _N_CONTEXT_SAMPLES + self.n_window_samples, self.n_window_samples)
        state: tuple[Tensor, Tensor] | None = None
        found = []
        for some in torch.split(windows, _N_WINDOWS_AT_ONCE):
            states, state = self._lstm(self._features(some), state)
            found.append(torch.sigmoid(torch.relu(states) @ self._output + self._output_bias))
        probabilities: NDArray[np.float32] = torch.cat(found).numpy()
        return probabilities

    def _features(self, windows: Tensor) -> Tensor:
        """(n_windows, 576) samples -> (n_windows, 128), what the LSTM hears."""
        mirrored = nn.functional.pad(windows, (0, _N_CONTEXT_SAMPLES), mode="reflect")
        frames = mirrored.unfold(1, _N_FRAME_SAMPLES, _N_HOP_SAMPLES) * self._hann
        spectrum = torch.view_as_real(torch.fft.rfft(frames))
        # Neither abs() nor a sum over so short an axis: both cost more than the transform.
        x = (spectrum[..., 0].square() + spectrum[..., 1].square()).sqrt().flatten(1)
        for matrix, bias in self._layers:
            x = torch.addmm(bias, x, matrix).relu_()
        return x


def _as_matrix(kernel: Tensor, stride: int, n_steps: int) -> tuple[Tensor, int]:
    """A convolution of width 3, padded by 1, over so few steps that it is one matrix, and how many steps it leaves.

    (n_out, n_in, 3) -> (n_steps * n_in, n_left * n_out), for rows that hold step after step.
    """
    n_out, n_in, width = kernel.shape
    n_left = (n_steps - 1) // stride + 1
    matrix = torch.zeros(n_steps, n_in, n_left, n_out)
    for left in range(n_left):
        for offset in range(width):
            step = left * stride + offset - 1
            if 0 <= step < n_steps:
                matrix[step, :, left] = kernel[:, :, offset].T
    return matrix.reshape(n_steps * n_in, n_left * n_out), n_left


def _require_spectrum(basis: Tensor, window: Tensor) -> None:
    """Another wheel might come with another basis than the Fourier transform that stands in for it here."""
    expected = torch.fft.rfft(torch.eye(_N_FRAME_SAMPLES) * window).T
    if not torch.allclose(basis, torch.cat([expected.real, expected.imag]), atol=1e-5):
        raise ValueError("the wheel's detector does not begin with a Fourier transform of Hann windows")


def load_wheel_model() -> Any:
    """The wheel's model as it ships; its loader's two deprecated calls are silenced, and nothing else."""
    n_threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"path is deprecated\. Use files", DeprecationWarning)
        warnings.filterwarnings("ignore", r".*load.* is deprecated\. Please switch to", DeprecationWarning)
        from silero_vad import load_silero_vad

        model = load_silero_vad()
    torch.set_num_threads(n_threads)  # importing the wheel sets it to one for the whole process
    return model
