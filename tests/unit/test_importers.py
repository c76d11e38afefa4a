"""What `vouch-train import` asks for, refuses and writes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from app.adapters.embedders import BundleEmbedder, choose_device, open_embedder
from app.errors import SettingsError
from made_calibrations import calibration_result
from model.bundle import GRAPH, file_sha256, load_bundle
from model.bundle_encoder import open_encoder_in
from model.calibration import Calibration
from model.embedding import MIN_SAMPLES, embed
from model.errors import BundleError, InvalidArgument
from model.likelihood import LikelihoodModel
from model.onnx_encoder import OnnxEncoder, open_session
from model.waveform import Source, Waveform
from tiny_bundle import POINTS
from tiny_graph import StatisticsEncoder, TwoOutputs, write_graph
from training.calibrate import CalibrationResult
from training.encoders import open_encoder
from training.importers import resemblyzer
from training.importers.ecapa import Ecapa, EcapaConfig, reflect
from training.importers.folder import read_import
from training.importers.imported import write_import
from training.importers.kaldi_fbank import CONVENTIONS, FbankConfig, fbank_config
from training.importers.sealing import seal
from training.importers.sources import ImportOptions, read_source
from training.importers.speechbrain import read_folder

SAID = ImportOptions(licence="CC BY 4.0", training_data=("VoxCeleb2",), fbank=CONVENTIONS["wespeaker"])


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("graph") / "encoder.onnx", StatisticsEncoder())


@pytest.fixture
def imported(graph: Path, tmp_path: Path) -> Path:
    return write_import(read_source("onnx", graph, SAID), tmp_path / "bundle", name="graph", limits=["A test."])


def calibrated(folder: Path, slope: float = 9.0) -> CalibrationResult:
    likelihood = LikelihoodModel(Calibration(slope, -3.0, 0.5))
    return calibration_result(read_import(folder)["encoder_id"], POINTS, likelihood)


def noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(n_samples).normal(0, 0.1, n_samples).astype(np.float32)


# --- what is written ----------------------------------------------------------------------------------------------


def test_the_service_refuses_an_import_without_calibration_and_says_what_to_do(imported: Path) -> None:
    with pytest.raises(
        BundleError, match=r"no calibration yet: `vouch-train calibrate --encoder .*bundle --data DATA`"
    ):
        load_bundle(imported)


def test_the_lab_opens_it_before_and_after_with_one_identity(imported: Path) -> None:
    before = open_encoder(imported)
    seal(imported, calibrated(imported))
    after = open_encoder(imported)
    assert before.encoder_id == after.encoder_id
    assert np.array_equal(embed(before.module, [noise(8_000)]), embed(after.module, [noise(8_000)]))


def test_the_card_says_where_it_comes_from(imported: Path, graph: Path) -> None:
    seal(imported, calibrated(imported))
    bundle = load_bundle(imported)
    assert bundle.card["licence"] == "CC BY 4.0"
    assert bundle.card["training"] == {
        "initialisation": f"imported from the ONNX file encoder.onnx, SHA-256 {file_sha256(graph)}",
        "data": {"corpora": ["VoxCeleb2"]},
    }
    assert "A test." in bundle.card["limits"]
    assert bundle.n_embedding == 16
    text = (imported / "card.md").read_text()
    assert f"imported from the ONNX file encoder.onnx, SHA-256 {file_sha256(graph)}" in text
    assert "VoxCeleb2" in text
    assert "CC BY 4.0" in text
    assert "a test's speakers" in text


def test_it_may_be_calibrated_again(imported: Path) -> None:
    seal(imported, calibrated(imported))
    first = load_bundle(imported)
    seal(imported, calibrated(imported, slope=12.0))
    second = load_bundle(imported)
    assert second.likelihood.calibration.slope == 12.0
    assert first.encoder_id == second.encoder_id
    assert first.bundle_id != second.bundle_id
    assert not [path for path in imported.parent.iterdir() if path != imported]


def test_a_calibration_of_another_encoder_is_refused(imported: Path) -> None:
    with pytest.raises(InvalidArgument, match="was fitted to encoder 0123"):
        seal(imported, replace(calibrated(imported), encoder_id="0123"))
    assert not (imported / "bundle.json").exists()


def test_an_altered_graph_is_refused(imported: Path) -> None:
    seal(imported, calibrated(imported))
    with (imported / GRAPH).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match=r"encoder\.onnx in the bundle at .* was altered"):
        load_bundle(imported)


def test_a_card_must_list_both_files_of_a_graph(imported: Path) -> None:
    seal(imported, calibrated(imported))
    card = json.loads((imported / "bundle.json").read_text())
    del card["files"]["front_end.ts"]
    (imported / "bundle.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"does not list front_end\.ts"):
        load_bundle(imported)


def test_what_is_there_already_is_left_alone(imported: Path, graph: Path) -> None:
    with pytest.raises(InvalidArgument, match="is there already"):
        write_import(read_source("onnx", graph, SAID), imported, name="again")


def test_a_foreign_note_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}"):
        (tmp_path / "imported.json").write_text(text)
        with pytest.raises(InvalidArgument, match="was not written by `vouch-train import`"):
            open_encoder(tmp_path)


# --- what is asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tape", SAID, "one of resemblyzer, speechbrain, onnx; got 'tape'"),
        ("onnx", replace(SAID, licence=None), "give --licence and, for each corpus, --training-data"),
        ("onnx", replace(SAID, training_data=()), "give --licence and, for each corpus, --training-data"),
        ("onnx", replace(SAID, fbank=None), "--convention wespeaker or 3d-speaker"),
        ("onnx", replace(SAID, centre=True), "belongs to speechbrain"),
        ("resemblyzer", SAID, "belongs to onnx"),
        ("resemblyzer", ImportOptions(), "does not hold Resemblyzer's weights"),
        ("speechbrain", replace(SAID, fbank=None), "it holds no embedding_model.ckpt"),
    ],
)
def test_a_source_that_is_not_what_it_is_said_to_be(
    graph: Path, kind: str, options: ImportOptions, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read_source(kind, graph, options)


@pytest.mark.parametrize("kind", ["speechbrain", "onnx"])
def test_a_source_must_be_named_and_be_there(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=f"say where the {kind} encoder is"):
        read_source(kind, None, ImportOptions())
    with pytest.raises(InvalidArgument, match="there is nothing at"):
        read_source(kind, tmp_path / "nowhere", ImportOptions())


def test_a_convention_with_changes() -> None:
    nothing: dict[str, Any] = {"n_mels": None, "window": None, "scale": None, "keep_mean": False}
    assert fbank_config(None, **nothing) is None
    assert fbank_config("3d-speaker", **nothing) == FbankConfig(80, "povey", "unit", True)
    changed = fbank_config("wespeaker", n_mels=40, window="povey", scale="unit", keep_mean=True)
    assert changed == FbankConfig(40, "povey", "unit", False)
    for convention, changes in (("kaldi", {}), (None, {"n_mels": 40}), ("wespeaker", {"window": "square"})):
        with pytest.raises(InvalidArgument, match="is one of"):
            fbank_config(convention, **{**nothing, **changes})


# --- ONNX graphs --------------------------------------------------------------------------------------------------


def test_a_clip_of_one_frame_is_repeated_until_the_graph_can_embed_it(imported: Path) -> None:
    assert read_import(imported)["about"]["front_end"]["n_min_frames"] == 2  # one frame has no unbiased deviation
    encoder = open_encoder(imported).module
    one = noise(MIN_SAMPLES)
    assert np.isfinite(embed(encoder, [one])).all()


def test_an_output_is_chosen_by_name_where_there_are_several(tmp_path: Path) -> None:
    two = write_graph(tmp_path / "two.onnx", TwoOutputs(), outputs=("means", "embs"))
    with pytest.raises(InvalidArgument, match=r"outputs means, embs; say by --output"):
        read_source("onnx", two, SAID)
    folder = write_import(read_source("onnx", two, replace(SAID, output="embs")), tmp_path / "bundle", name="two")
    assert read_import(folder)["n_embedding"] == 16


def test_an_output_that_grows_with_the_clip_is_no_embedding(tmp_path: Path) -> None:
    two = write_graph(tmp_path / "two.onnx", TwoOutputs(), outputs=("means", "embs"))
    with pytest.raises(InvalidArgument, match="grows with the clip"):
        write_import(read_source("onnx", two, replace(SAID, output="means")), tmp_path / "bundle", name="two")
    assert not (tmp_path / "bundle").exists()


def test_a_graph_of_other_features_is_refused(tmp_path: Path) -> None:
    forty = write_graph(tmp_path / "forty.onnx", StatisticsEncoder(40))
    with pytest.raises(InvalidArgument, match="takes 40 mel bands; --n-mels is 80"):
        read_source("onnx", forty, SAID)
    fixed = write_graph(tmp_path / "fixed.onnx", StatisticsEncoder(), fixed=True)
    with pytest.raises(InvalidArgument, match="takes 200 frames and no other number"):
        read_source("onnx", fixed, SAID)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"certainly no graph")
    with pytest.raises(BundleError, match=r"noise\.onnx is not an ONNX graph"):
        read_source("onnx", tmp_path / "noise.onnx", SAID)


def test_without_the_runtime_a_graph_says_what_to_install(graph: Path) -> None:
    with pytest.raises(BundleError, match=r"is not installed: `pip install no_such_runtime`.*extra `onnx`"):
        open_session(graph, runtime="no_such_runtime")
    with pytest.raises(BundleError, match="not installed"):
        OnnxEncoder(nn.Identity(), graph, "embs", runtime="no_such_runtime")


def test_the_service_runs_a_graph_on_the_cpu_only(imported: Path) -> None:
    bundle = load_bundle(seal(imported, calibrated(imported)))
    assert choose_device("auto", bundle) == "cpu"
    with pytest.raises(SettingsError, match=r"VOUCH_DEVICE is 'cuda', .* an ONNX graph, which runs on the CPU"):
        choose_device("cuda", bundle)
    with pytest.raises(SettingsError, match=r"VOUCH_ENGINE is 'torchscript', .* is an ONNX graph"):
        open_embedder("torchscript", bundle, "cpu")
    with pytest.raises(BundleError, match="runs on the CPU; the device is 'cuda'"):
        open_encoder_in(bundle.path, bundle.card, "cuda")
    embedder = open_embedder("auto", bundle, "cpu")
    assert isinstance(embedder, BundleEmbedder)
    assert embedder.engine == "onnxruntime"
    embedding = embedder.embed(Waveform(noise(MIN_SAMPLES), Source("wav", 16_000, 1)))
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)


# --- Resemblyzer --------------------------------------------------------------------------------------------------


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


# --- SpeechBrain --------------------------------------------------------------------------------------------------


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
