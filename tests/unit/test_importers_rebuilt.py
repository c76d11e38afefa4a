"""Encoders of other projects rebuilt here: what differs from a plain network, and what is no such encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from made_imports import noise
from model.embedding import embed
from model.errors import InvalidArgument
from training.importers import resemblyzer
from training.importers.ecapa import Ecapa, EcapaConfig, reflect
from training.importers.speechbrain import read_folder

# --- Resemblyzer ---


def test_partial_utterances_begin_every_77_frames_and_end_covered() -> None:
    encoder = resemblyzer.ResemblyzerEncoder()
    starts = {n: encoder.partial_starts(n) for n in (1, 25_600, 31_519, 31_520, 48_000)}
    # The second partial begins at sample 12,320 and needs 19,200 more; of 3 s the fourth would begin at 36,960.
    assert starts == {1: [0], 25_600: [0], 31_519: [0], 31_520: [0, 77], 48_000: [0, 77, 154]}


def test_quiet_clips_are_raised_to_minus_30_db_and_loud_ones_stay() -> None:
    encoder = resemblyzer.ResemblyzerEncoder()
    samples = torch.tensor([[0.001, -0.001, 9.0], [0.5, -0.5, 0.5], [0.0, 0.0, 0.0]])
    raised = encoder.raise_volume(samples, torch.tensor([2, 3, 3]))
    assert raised[0].tolist() == pytest.approx([10**-1.5, -(10**-1.5), 0.0])
    assert raised[1].tolist() == [0.5, -0.5, 0.5]
    assert raised[2].tolist() == [0.0, 0.0, 0.0]


# --- SpeechBrain ---


def test_a_clip_is_mirrored_at_its_own_ends() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]], [[1.0, 2.0, 3.0, 0.0, 0.0]], [[7.0, 0.0, 0.0, 0.0, 0.0]]])
    mirrored = reflect(x, torch.tensor([5, 3, 1]), 3)[:, 0]
    assert mirrored[0].tolist() == [4, 3, 2, 1, 2, 3, 4, 5, 4, 3, 2]
    assert mirrored[1].tolist()[:9] == [2, 3, 2, 1, 2, 3, 2, 1, 2]  # shorter than the padding: mirrored again
    assert mirrored[2].tolist() == [7] * 11
    reference = nn.functional.pad(x[:1], (3, 3), mode="reflect")
    assert torch.equal(reflect(x[:1], torch.tensor([5]), 3), reference)


def test_impossible_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="one entry each"):
        EcapaConfig(dilations=(1, 2))
    with pytest.raises(ValueError, match="do not divide into 7 parts"):
        EcapaConfig(scale=7)
    with pytest.raises(ValueError, match="kernel sizes are odd"):
        EcapaConfig(kernel_sizes=(4, 3, 3, 3, 1))


def speechbrain_folder(folder: Path, config: EcapaConfig) -> Path:
    """Our own network's weights under SpeechBrain's names."""
    folder.mkdir()
    torch.manual_seed(1)
    weights = {}
    for ours, tensor in Ecapa(config).state_dict().items():
        *path, leaf = ours.split(".")
        if path[0] == "first":
            path = ["blocks", "0", *path[1:]]
        elif path[0] == "blocks":
            path[1] = str(int(path[1]) + 1)
        wrapped = "norm" if "norm" in path[-1] or path[-1] == "asp_bn" else "conv"
        weights[".".join([*path, wrapped, leaf])] = tensor
    torch.save(weights, folder / "embedding_model.ckpt")
    return folder


TINY = EcapaConfig(
    n_mels=20, channels=(8, 8, 8, 12), kernel_sizes=(5, 3, 3, 1), dilations=(1, 2, 3, 1), scale=4, n_embedding=6
)


def test_the_shape_is_read_off_the_weights_and_the_dilations_off_the_settings(tmp_path: Path) -> None:
    folder = speechbrain_folder(tmp_path / "ecapa", TINY)
    with pytest.raises(InvalidArgument, match="one entry each"):  # the published encoder's five dilations do not fit
        read_folder(folder)
    (folder / "hyperparams.yaml").write_text("embedding_model: !new:ECAPA_TDNN\n    dilations: [1, 2, 3, 1]\n")
    assert read_folder(folder).config == TINY


def test_the_mean_embedding_is_subtracted_when_asked(tmp_path: Path) -> None:
    folder = speechbrain_folder(tmp_path / "ecapa", TINY)
    (folder / "hyperparams.yaml").write_text("dilations: [1, 2, 3, 1]\n")
    with pytest.raises(InvalidArgument, match=r"mean_var_norm_emb\.ckpt is not a checkpoint"):
        read_folder(folder, centre=True)
    mean = torch.arange(6.0)
    torch.save(
        {"count": 3, "glob_mean": mean.reshape(1, 6), "glob_std": torch.ones(1, 6)}, folder / "mean_var_norm_emb.ckpt"
    )
    plain, centred = (embed(read_folder(folder, centre=centre), [noise(16_000)])[0] for centre in (False, True))
    assert np.abs(plain - mean.numpy() - centred).max() <= 1e-6
    torch.save({"glob_mean": torch.zeros(5)}, folder / "mean_var_norm_emb.ckpt")
    with pytest.raises(InvalidArgument, match="mean of embeddings of 6 dimensions"):
        read_folder(folder, centre=True)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(InvalidArgument, match="does not hold an ECAPA-TDNN as SpeechBrain builds it"):
        read_folder(tmp_path)
    torch.save([torch.zeros(3)], tmp_path / "embedding_model.ckpt")
    with pytest.raises(InvalidArgument, match="holds no named tensors"):
        read_folder(tmp_path)
    folder = speechbrain_folder(tmp_path / "ecapa", TINY)
    weights = torch.load(folder / "embedding_model.ckpt", weights_only=True)
    del weights["asp.conv.conv.bias"]
    torch.save(weights, folder / "embedding_model.ckpt")
    (folder / "hyperparams.yaml").write_text("dilations: [1, 2, 3, 1]\n")
    with pytest.raises(InvalidArgument, match=r"asp\.conv\.bias"):
        read_folder(folder)
