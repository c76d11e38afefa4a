import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_curves import CURVE
from model.bundle import calibration_id_of, encoder_id_of, file_sha256, line_id_of, load_bundle, write_card
from model.calibration import Calibration, Ranges, SideInformation, Term
from model.decision import OperatingPoint
from model.embedding import embed
from model.encoder import EncoderConfig, WaveformEncoder
from model.errors import BundleError
from model.likelihood import LikelihoodModel
from model.scoring import Cohort
from model.torchscript import export_encoder, load_encoder
from samples import random_embeddings

TINY = EncoderConfig(
    n_mels=16, channels=(4, 4), strides_mel=(2, 2), strides_time=(2, 2), residual=(0, 1), n_hidden=4, n_embedding=6
)
NETWORK = asdict(TINY)
COHORT = Cohort(random_embeddings(3, 8, 6).astype(np.float16).astype(np.float32), 4)
CALIBRATION = Calibration(9.0, -3.0, 0.5, (Term("speech", 4.0, -1.0), Term("clips", 0.5, 0.0)), Ranges((0.4, 6.0)))
LIKELIHOOD = LikelihoodModel(CALIBRATION, COHORT)
POINTS = {"eer": OperatingPoint("eer", 0.5, 0.1, 0.1, (0.0, 0.2), (0.0, 0.2), 30, 300, "made trials")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    module = WaveformEncoder(TINY).eval()
    path = tmp_path / "bundle"
    path.mkdir()
    export_encoder(module, path / "encoder.ts")
    write_card(
        path,
        encoder_id=encoder_id_of(module, {"n_mels": 16}, NETWORK),
        n_embedding=6,
        likelihood=LIKELIHOOD,
        operating_points=POINTS,
        about={"name": "tiny"},
    )
    return path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_was_written_is_what_is_loaded(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.operating_points == POINTS
    assert bundle.likelihood == LIKELIHOOD
    assert bundle.calibration_id == calibration_id_of(LIKELIHOOD, POINTS)
    assert bundle.n_embedding == 6
    assert bundle.sha256 == file_sha256(folder / "bundle.json")
    assert bundle.bundle_id.startswith("tiny-")
    assert load_bundle(folder, bundle.sha256.upper()) == bundle


def test_a_bundle_may_have_an_error_curve(folder: Path) -> None:
    before = load_bundle(folder)
    assert before.error_curve is None
    edit(folder, error_curve=asdict(CURVE))
    after = load_bundle(folder)
    assert after.error_curve == CURVE
    assert after.calibration_id == before.calibration_id
    assert after.sha256 != before.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llrs": [-2.0, 0.5, float("nan")]}, "not a bundle card.* not finite"),
        ({"fnmr": [0.0, 1.0]}, "not a bundle card.* columns"),
        ({"fmr_intervals": [[1.0], [0.0], [0.0]]}, "not a bundle card"),
        ({"fmr": None}, "not a bundle card"),
        ({"colour": "red"}, "not a bundle card"),
        ({"llrs": [-2.0, 0.6, 3.0]}, "of other trials than its operating points: eer is not on it"),
    ],
)
def test_a_wrong_error_curve_is_refused_with_a_reason(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, error_curve={**asdict(CURVE), **changes})
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_the_card_for_people_is_loaded_and_sealed(tmp_path: Path) -> None:
    (tmp_path / "encoder.ts").write_bytes(b"weights")
    write_card(
        tmp_path,
        encoder_id="e1",
        n_embedding=6,
        likelihood=LIKELIHOOD,
        operating_points=POINTS,
        about={"name": "tiny"},
        prose=lambda card: f"# {card['bundle_id']}\n",
    )
    bundle = load_bundle(tmp_path)
    assert bundle.prose == f"# {bundle.bundle_id}\n"
    (tmp_path / "card.md").write_text("# Perfect\n")
    with pytest.raises(BundleError, match=r"card\.md in .* was altered"):
        load_bundle(tmp_path)


def test_a_bundle_may_lack_a_card_for_people_and_a_stray_one_is_not_its(folder: Path) -> None:
    (folder / "card.md").write_text("# Perfect\n")
    assert load_bundle(folder).prose is None


def test_the_exported_encoder_is_the_eager_one(folder: Path) -> None:
    torch.manual_seed(1)
    clips = [np.random.default_rng(s).normal(0, 0.1, n).astype(np.float32) for s, n in enumerate((400, 9_000, 30_000))]
    eager = embed(WaveformEncoder(TINY).eval(), clips)
    exported = load_encoder(load_bundle(folder).encoder_path)
    assert np.abs(eager - embed(exported, clips)).max() <= 1e-4
    assert np.abs(eager[0] - embed(exported, clips[:1])[0]).max() <= 1e-4


def test_the_encoders_identity_is_its_weights_its_network_and_its_front_end() -> None:
    torch.manual_seed(1)
    module = WaveformEncoder(TINY)
    before = encoder_id_of(module, {"n_mels": 16}, NETWORK)
    assert before == encoder_id_of(module, {"n_mels": 16}, NETWORK)
    assert before != encoder_id_of(module, {"n_mels": 17}, NETWORK)
    assert before != encoder_id_of(module, {"n_mels": 16}, {**NETWORK, "strides_time": (2, 1)})
    with torch.no_grad():
        next(module.parameters())[0] += 1e-3
    assert before != encoder_id_of(module, {"n_mels": 16}, NETWORK)


def test_an_altered_weight_file_is_refused(folder: Path) -> None:
    data = bytearray((folder / "encoder.ts").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "encoder.ts").write_bytes(data)
    with pytest.raises(BundleError, match=r"encoder\.ts in .* was altered"):
        load_bundle(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "encoder.ts").unlink()
    with pytest.raises(BundleError, match=r"encoder\.ts is missing"):
        load_bundle(folder)


def test_no_bundle_says_which_setting_to_use(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="set VOUCH_BUNDLE"):
        load_bundle(tmp_path / "nowhere")


def test_the_pin_holds(folder: Path) -> None:
    with pytest.raises(BundleError, match="VOUCH_BUNDLE_SHA256 asks for 00"):
        load_bundle(folder, "00")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "bundle format 99; this version reads 1 and 2"),
        ({"operating_points": {}}, "calibration .* was altered"),
        ({"calibration": {"slope": 9.0}}, "not a bundle card"),
        ({"files": {"../outside": "00", "encoder.ts": "00", "cohort.npy": "00"}}, "altered|not a plain file name"),
        ({"files": {}}, r"does not list encoder\.ts"),
        ({"n_embedding": 7}, "embeddings of another size than the encoder's 7"),
        ({"files": None}, "not a bundle card|does not list"),
    ],
)
def test_a_wrong_card_is_refused_with_a_reason(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_changed_threshold_is_noticed(folder: Path) -> None:
    card = json.loads((folder / "bundle.json").read_text())
    card["operating_points"]["eer"]["llr"] = -9.0
    edit(folder, operating_points=card["operating_points"])
    with pytest.raises(BundleError, match=r"the calibration in .* was altered"):
        load_bundle(folder)


def test_an_altered_or_missing_cohort_is_noticed(folder: Path) -> None:
    voices = np.load(folder / "cohort.npy")
    np.save(folder / "cohort.npy", -voices)
    with pytest.raises(BundleError, match=r"cohort\.npy in .* was altered"):
        load_bundle(folder)
    card = json.loads((folder / "bundle.json").read_text())
    edit(folder, files={**card["files"], "cohort.npy": file_sha256(folder / "cohort.npy")})
    with pytest.raises(BundleError, match=r"the calibration in .* was altered"):
        load_bundle(folder)
    edit(folder, files={"encoder.ts": card["files"]["encoder.ts"]})
    with pytest.raises(BundleError, match=r"does not list cohort\.npy"):
        load_bundle(folder)


def test_a_cohort_of_another_shape_is_refused(folder: Path) -> None:
    np.save(folder / "cohort.npy", np.zeros(8, np.float16))
    files = json.loads((folder / "bundle.json").read_text())["files"]
    edit(folder, files={**files, "cohort.npy": file_sha256(folder / "cohort.npy")})
    with pytest.raises(BundleError, match="float16 of two dimensions"):
        load_bundle(folder)


def test_the_calibrations_identity_is_all_that_turns_a_score_into_a_decision() -> None:
    voices = COHORT.embeddings.copy()
    voices[0] = -voices[0]
    point = POINTS["eer"]
    variants = [
        (LIKELIHOOD, POINTS),
        (LikelihoodModel(CALIBRATION), POINTS),
        (LikelihoodModel(CALIBRATION, Cohort(voices, 4)), POINTS),
        (LikelihoodModel(CALIBRATION, Cohort(COHORT.embeddings, 5)), POINTS),
        (LikelihoodModel(replace(CALIBRATION, terms=CALIBRATION.terms[:1]), COHORT), POINTS),
        (LikelihoodModel(replace(CALIBRATION, ranges=Ranges((0.4, 6.1))), COHORT), POINTS),
        (LikelihoodModel(replace(CALIBRATION, intercept=-3.1), COHORT), POINTS),
        (LIKELIHOOD, {"eer": replace(point, llr=0.6)}),
    ]
    assert len({calibration_id_of(*variant) for variant in variants}) == len(variants)
    assert calibration_id_of(*variants[0]) == calibration_id_of(LIKELIHOOD, dict(POINTS))


def test_a_bundle_of_format_1_is_read_as_one_line_for_all(folder: Path) -> None:
    line = {"slope": 9.0, "intercept": -3.0, "fit_prior": 0.5}
    card = json.loads((folder / "bundle.json").read_text())
    identity = line_id_of(Calibration(**line), POINTS)
    edit(folder, format_version=1, calibration={**line, "calibration_id": identity})
    bundle = load_bundle(folder)
    assert bundle.calibration_id == identity
    assert bundle.likelihood == LikelihoodModel(Calibration(9.0, -3.0, 0.5))
    for speech_s, n_clips in ((0.3, 1), (60.0, 9)):
        side = bundle.likelihood.side(COHORT.embeddings[0], SideInformation(speech_s, n_clips, 3.0))
        assert bundle.likelihood.llr(0.5, side, side) == pytest.approx(1.5)
    edit(folder, format_version=1, calibration={**line, "slope": 8.0, "calibration_id": identity})
    with pytest.raises(BundleError, match=r"the calibration in .* was altered"):
        load_bundle(folder)
    assert card["format_version"] == 2


def test_a_card_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="not a bundle card"):
        load_bundle(folder)


def test_a_file_that_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    (tmp_path / "encoder.ts").write_bytes(b"not a network")
    with pytest.raises(BundleError, match="not a TorchScript encoder"):
        load_encoder(tmp_path / "encoder.ts")
