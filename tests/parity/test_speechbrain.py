"""Our rebuilt ECAPA-TDNN embeds a waveform as SpeechBrain does, with random weights saved in SpeechBrain's own format."""

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.embedding import embed
from model.torchscript import export_encoder, load_encoder
from training.importers.speechbrain import read_folder

if importlib.util.find_spec("speechbrain") is None:
    pytest.skip("needs the package speechbrain, which `make install-dev` installs", allow_module_level=True)

LENGTHS = (1_600, 3_999, 16_000, 24_123, 48_000)
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"channels": [16, 16, 16, 16, 48], "lin_neurons": 12, "attention_channels": 8, "se_channels": 8},
    "shortcuts": {
        "channels": [16, 24, 24, 20],
        "kernel_sizes": [5, 3, 5, 1],
        "dilations": [1, 2, 3, 1],
        "res2net_scale": 4,
        "global_context": False,
        "lin_neurons": 10,
    },
}


@pytest.fixture(scope="module", params=list(SHAPES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, nn.Module]:
    """(waveform, relative lengths) -> embeddings by SpeechBrain, and our import of what it saved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SpeechBrain's imports, not ours
        from speechbrain.lobes.features import Fbank
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
        from speechbrain.processing.features import InputNormalization
        from speechbrain.utils.checkpoints import Checkpointer
    # Its stand-ins for renamed modules import what is not installed as soon as anyone looks, and Hypothesis looks.
    for name in [name for name, found in sys.modules.items() if type(found).__name__ == "DeprecatedModuleRedirect"]:
        del sys.modules[name]
    shape = SHAPES[request.param]
    torch.manual_seed(1)
    network = ECAPA_TDNN(40, **shape).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):  # as after training: a batch norm that does something
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    saved = Checkpointer(tmp_path_factory.mktemp("saved"), {"embedding_model": network}).save_checkpoint().path
    if "dilations" in shape:
        (saved / "hyperparams.yaml").write_text(f"embedding_model: !new:x\n    dilations: {shape['dilations']}\n")
    fbank, mean = Fbank(n_mels=40), InputNormalization(norm_type="sentence", std_norm=False).eval()

    def original(waveforms: Tensor, relative: Tensor) -> Tensor:
        with torch.inference_mode():
            return network(mean(fbank(waveforms), relative), relative).squeeze(1)

    path: Path = saved / "encoder.ts"
    export_encoder(read_folder(saved), path)
    return original, load_encoder(path)


def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    loudness = np.geomspace(
        0.3, 1e-5, len(LENGTHS)
    )  # the quietest lie below the floor that is set 80 dB under the loudest
    return [
        (level * np.linspace(0, 1, n) ** 4 * rng.normal(0, 0.3, n)).astype(np.float32)
        for level, n in zip(loudness, LENGTHS, strict=True)
    ]


def test_a_clip_embeds_as_in_speechbrain(pair: tuple[Any, nn.Module]) -> None:
    original, imported = pair
    for clip in clips():
        expected = original(torch.from_numpy(clip).unsqueeze(0), torch.ones(1))[0].numpy()
        assert np.abs(embed(imported, [clip])[0] - expected).max() <= 1e-4


def test_a_batch_embeds_as_each_clip_alone_does_in_speechbrain(pair: tuple[Any, nn.Module]) -> None:
    original, imported = pair
    expected = [original(torch.from_numpy(clip).unsqueeze(0), torch.ones(1))[0].numpy() for clip in clips()]
    assert np.abs(embed(imported, clips()) - np.stack(expected)).max() <= 1e-4


def test_the_shortest_clip_has_an_embedding(pair: tuple[Any, nn.Module]) -> None:
    assert np.isfinite(embed(pair[1], [clips()[0][:400]])).all()
