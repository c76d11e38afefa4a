"""The graph of the speech detector, from the weights in Silero's wheel.

Only the LSTM needs the past. Everything before it runs on all windows at once: the spectrum as a product with a matrix,
and each convolution, over the four frames of a window, as another one.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.speech import GRAPH, N_CONTEXT_SAMPLES, N_WINDOW_SAMPLES, STATE_SHAPE

OPSET = 18
_N_FRAME_SAMPLES = 256
_N_HOP_SAMPLES = 128
_N_FRAMES = 4
"""Of each window."""
_STRIDES = (1, 2, 2, 1)
"""Of the convolutions, over frames."""


class DetectorNetwork(nn.Module):
    """samples (64 + n_windows * 512,), hidden and cell (1, 1, 128) -> probabilities (n_windows,), hidden, cell.

    The first 64 samples are the end of the window before. The state is zero where a clip begins.
    """

    basis: Tensor
    output: Tensor
    output_bias: Tensor

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        # (2 * n_bins, 1, n_frame), of cosines and of sines, with the window in it
        self.register_buffer("basis", weights["stft.forward_basis_buffer"][:, 0].T.clone())
        self.n_layers, n_steps = len(_STRIDES), _N_FRAMES
        for number, stride in enumerate(_STRIDES):
            name = f"encoder.{number}.reparam_conv"
            matrix, n_steps = _as_matrix(weights[f"{name}.weight"], stride, n_steps)
            self.register_buffer(f"matrix_{number}", matrix)
            self.register_buffer(f"bias_{number}", weights[f"{name}.bias"].repeat(n_steps))
        self.lstm = nn.LSTM(STATE_SHAPE[-1], STATE_SHAPE[-1])
        self.lstm.load_state_dict(
            {f"{name}_l0": weights[f"decoder.rnn.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        )
        self.register_buffer("output", weights["decoder.decoder.2.weight"].flatten())
        self.register_buffer("output_bias", weights["decoder.decoder.2.bias"].clone())

    def forward(self, samples: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before = samples[:-N_CONTEXT_SAMPLES].reshape(-1, N_WINDOW_SAMPLES)[:, :N_CONTEXT_SAMPLES]
        windows = torch.cat([before, samples[N_CONTEXT_SAMPLES:].reshape(-1, N_WINDOW_SAMPLES)], dim=1)
        last = windows.size(1) - 1
        mirrored = windows.index_select(1, torch.arange(last - 1, last - 1 - N_CONTEXT_SAMPLES, -1))
        padded = torch.cat([windows, mirrored], dim=1)
        starts = range(0, _N_FRAMES * _N_HOP_SAMPLES, _N_HOP_SAMPLES)
        frames = torch.stack([padded[:, start : start + _N_FRAME_SAMPLES] for start in starts], dim=1)
        real, imaginary = torch.matmul(frames, self.basis).chunk(2, dim=2)
        x = (real * real + imaginary * imaginary).sqrt().flatten(1)
        for number in range(self.n_layers):
            x = torch.relu(torch.addmm(getattr(self, f"bias_{number}"), x, getattr(self, f"matrix_{number}")))
        states, (hidden, cell) = self.lstm(x.unsqueeze(1), (hidden, cell))
        logits = torch.matmul(torch.relu(states.squeeze(1)), self.output) + self.output_bias
        return torch.sigmoid(logits), hidden, cell


def export_detector(path: Path = GRAPH) -> None:
    """Writes the graph. Raises KeyError or RuntimeError where the wheel holds another network than the one known here."""
    weights = {name.removeprefix("_model."): value for name, value in load_wheel_model().state_dict().items()}
    state = torch.zeros(STATE_SHAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengths other than the example's, which a test checks
        torch.onnx.export(
            DetectorNetwork(weights).eval(),
            (torch.zeros(N_CONTEXT_SAMPLES + 2 * N_WINDOW_SAMPLES), state, state),
            str(path),
            input_names=["samples", "hidden", "cell"],
            output_names=["probabilities", "hidden_after", "cell_after"],
            dynamic_axes={"samples": {0: "n_samples"}, "probabilities": {0: "n_windows"}},
            opset_version=OPSET,
            dynamo=False,
        )


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
