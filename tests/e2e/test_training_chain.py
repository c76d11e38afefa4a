"""prepare -> train -> evaluate -> calibrate -> export -> serve, by the commands that people type, on made voices."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

import voicemaking
from app.main import create_app
from app.settings import Settings
from model.bundle import load_bundle
from model.embedding import embed
from model.onnx_encoder import MAX_DIFFERENCE
from model.scoring import cosine_score
from model.torchscript import load_encoder
from training.cli import app
from training.dataset import read_samples
from training.encoders import open_encoder
from training.export import LIMITS
from training.heard import hear_whole

RECIPE = """
seed = 3
epochs = 20
steps_per_epoch = 5
validation_clips = 3
[encoder]
n_mels = 24
channels = [6, 8]
strides_mel = [2, 2]
strides_time = [2, 2]
residual = [0, 1]
n_hidden = 8
n_embedding = 12
[sampling]
kind = "speakers"
batch_size = 6
crop_s = [0.5, 0.8]
[loss]
contrastive_weight = 0.1
margin_ramp = [0.0, 0.5]
[optimiser]
learning_rate = 0.005
"""


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


TEST_SPEAKERS = [3, 7, 11, 15, 19, 23]


def write_people(path: Path) -> Path:
    """Three of the test speakers are women, three are children; too few for a slice of their own but for all of them."""
    rows = [f"s{speaker}/{clip}.wav,f,{8 if speaker > 11 else 30}" for speaker in TEST_SPEAKERS for clip in range(4)]
    (path / "people.csv").write_text("\n".join(["path,gender,age", *rows]) + "\n")
    return path / "people.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain")
    voicemaking.write_corpus(path / "voices", n_speakers=24, n_clips=4, duration_s=1.5)
    voicemaking.write_trials(path / "voices", speakers=TEST_SPEAKERS, n_clips=4)
    (path / "tiny.toml").write_text(RECIPE)
    run("prepare", f"manifest:{path / 'voices'}", "--out", path / "data")
    common = ("--recipe", path / "tiny.toml", "--data", path / "data", "--out", path / "run")
    run("train", *common, "--steps", 7)
    run("train", *common)
    run("calibrate", "--encoder", path / "run", "--data", path / "data")
    trials = ("--trials", path / "voices" / "made.txt", "--root", path / "voices", "--draws", 40)
    slices = ("--condition", "speech_1s", "--condition", "snr_10db", "--condition", "telephone")
    people = ("--manifest", write_people(path / "voices"), "--data", path / "data")
    run("evaluate", "--encoder", path / "run", *trials, *slices, *people)
    report = path / "run" / "evaluation" / "report.json"
    run("export", "--encoder", path / "run", "--out", path / "bundle", "--name", "chain", "--evaluation", report)
    return path


def rows_of(report: Path, **fields: object) -> list[dict[str, Any]]:
    """The report's evaluations with these fields."""
    rows = json.loads(report.read_text())["evaluations"]
    return [row for row in rows if all(row[name] == value for name, value in fields.items())]


def whole(report: Path, score: str) -> dict[str, Any]:
    everything = {"group": "all", "name": "all", "on": None}
    (row,) = rows_of(report, score=score, slice=everything, n_enrollment_clips=1)
    return row


def test_the_report_says_what_was_measured(folder: Path) -> None:
    report = folder / "run" / "evaluation" / "report.json"
    row, cosine = whole(report, "llr"), whole(report, "cosine")
    assert (row["n_target"], row["n_non_target"], row["n_speakers"]) == (36, 240, 6)
    low, high = row["eer_interval"]
    assert 0 <= low <= row["eer"] <= high <= 1
    assert cosine["accuracy_threshold_from"] == "6 validation speakers"
    assert set(row["calibrated"]["fmr"]) == set(load_bundle(folder / "bundle").operating_points)
    assert row["calibrated"]["min_cllr_bits"] <= row["calibrated"]["cllr_bits"]
    assert all(cost["min_dcf"] <= cost["act_dcf"] for cost in row["detection_costs"])


def test_the_report_has_every_slice_that_the_list_supports(folder: Path) -> None:
    report = folder / "run" / "evaluation" / "report.json"
    found = {(row["slice"]["name"], row["slice"]["on"], row["n_enrollment_clips"]) for row in rows_of(report)}
    settings = [("both", 1), ("probe", 1), ("probe", 3)]
    conditions = {(name, *setting) for name in ("10 dB", "telephone") for setting in settings}
    assert found == {("all", None, 1), ("all", None, 3), ("female", None, 1)} | conditions
    left_out = {row["slice"]["name"]: row["why"] for row in json.loads(report.read_text())["not_measured"]}
    assert left_out.keys() == {
        "1 s",
        "adults",
        "children",
    }  # the made voices hold too little of what is heard as speech
    assert left_out["children"].startswith("18 target trials of 3 speakers and 48 non-target trials;")


def test_the_page_shows_the_report(folder: Path) -> None:
    page = (folder / "run" / "evaluation" / "report.html").read_text()
    report = folder / "run" / "evaluation" / "report.json"
    assert f"{100 * whole(report, 'llr')['eer']:.1f}<br>" in page
    assert whole(report, "llr")["calibrated"]["calibration_id"] in page
    assert "noise at 10 dB, both clips" in page


def test_training_made_the_encoder_better_than_chance(folder: Path) -> None:
    assert whole(folder / "run" / "evaluation" / "report.json", "cosine")["eer"] < 0.35


def test_the_bundle_tells_how_it_came_to_be(folder: Path) -> None:
    card = load_bundle(folder / "bundle").card
    assert card["training"]["steps"] == 100
    assert card["training"]["data"]["n_speakers"] == 12
    assert card["training"]["recipe"]["encoder"]["n_mels"] == 24
    assert {row["trials"] for row in card["evaluations"]} == {"made"}
    assert {row["slice"]["group"] for row in card["evaluations"]} == {"all"}
    assert card["export_difference"] <= 1e-4


def test_the_model_card_is_made_from_the_report_and_served(folder: Path, tmp_path: Path) -> None:
    bundle = load_bundle(folder / "bundle")
    text = (folder / "bundle" / "card.md").read_text()
    assert bundle.prose == text
    assert bundle.encoder_id in text
    assert "| made | 1 clip | 36 + 240 | 6 |" in text
    assert "| made | 8 kHz telephone, both clips |" in text
    assert "## Whom it serves worse" in text
    settings = Settings(bundle=folder / "bundle", data_dir=tmp_path)
    with TestClient(create_app(settings), base_url="http://localhost:8000") as client:
        body = client.get("/v1/model").json()
    assert body["card"] == text
    served = next(r for r in body["error_rates"] if (r["score"], r["n_enrollment_clips"]) == ("llr", 1))
    measured = whole(folder / "run" / "evaluation" / "report.json", "llr")
    assert served["eer"] == pytest.approx(measured["eer"], abs=1e-6)
    assert [cost["p_target"] for cost in served["detection_costs"]] == [0.01, 0.05]


def test_a_bundle_evaluates_as_its_checkpoint_does_and_they_stand_side_by_side(folder: Path) -> None:
    trials = ("--trials", folder / "voices" / "made.txt", "--root", folder / "voices", "--draws", 40)
    encoders = ("--encoder", folder / "bundle", "--encoder", folder / "run")
    run("evaluate", *encoders, *trials, "--condition", "full", "--out", folder / "again")
    again = json.loads((folder / "again" / "report.json").read_text())
    bundle_id = load_bundle(folder / "bundle").bundle_id
    assert [encoder["name"] for encoder in again["encoders"]] == [bundle_id, "tiny"]
    assert again["encoders"][0]["calibration_id"] == again["encoders"][1]["calibration_id"]
    before = whole(folder / "run" / "evaluation" / "report.json", "llr")["eer"]
    for name in (bundle_id, "tiny"):
        (row,) = rows_of(folder / "again" / "report.json", encoder=name, score="llr", n_enrollment_clips=1)
        assert row["eer"] == pytest.approx(before, abs=1e-3)
    (difference,) = again["differences"]
    assert (difference["encoder"], difference["than"]) == ("tiny", bundle_id)
    assert difference["eer"] == pytest.approx(0.0, abs=1e-3)


def test_a_bundle_s_card_can_be_written_anew(folder: Path, tmp_path: Path) -> None:
    report = folder / "run" / "evaluation" / "report.json"
    calibration = ("--calibration", folder / "run" / "calibration.json")
    run("export", "--encoder", folder / "run", *calibration, "--out", tmp_path / "bundle")
    before = load_bundle(tmp_path / "bundle")
    assert "Not measured" in str(before.prose)
    run("card", tmp_path / "bundle", "--evaluation", report, "--history", report)
    after = load_bundle(tmp_path / "bundle")
    assert (after.bundle_id, after.encoder_id) == (before.bundle_id, before.encoder_id)
    assert after.sha256 != before.sha256
    assert "| made | 1 clip |" in str(after.prose)
    assert "## History" in str(after.prose)
    run("card", tmp_path / "bundle", "--evaluation", report, "--limit", "Only tones.")
    limited = load_bundle(tmp_path / "bundle")
    assert "## History" in str(limited.prose)
    assert "- Only tones." in str(limited.prose)
    assert limited.card["limits"] == [*LIMITS, "Only tones."]
    run("card", tmp_path / "bundle", "--evaluation", report)
    assert load_bundle(tmp_path / "bundle").card["limits"] == limited.card["limits"]
    files = {"bundle.json", "card.md", "encoder.ts", "engine.onnx"}
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == files


def without_curve(bundle: Path, copy: Path) -> Path:
    """As an earlier version wrote it."""
    shutil.copytree(bundle, copy)
    card = json.loads((copy / "bundle.json").read_text())
    del card["error_curve"]
    (copy / "bundle.json").write_text(json.dumps(card))
    return copy


def test_an_older_bundle_gets_its_error_curve_by_one_command(folder: Path, tmp_path: Path) -> None:
    before = load_bundle(without_curve(folder / "bundle", tmp_path / "bundle"))
    printed = run("curve", before.path, "--data", folder / "data")
    after = load_bundle(before.path)
    expected = load_bundle(folder / "bundle").error_curve
    assert before.error_curve is None
    assert expected is not None
    assert after.error_curve is not None
    assert after.error_curve.llrs == pytest.approx(expected.llrs, abs=1e-3)
    assert (after.error_curve.fmr, after.error_curve.fnmr) == (expected.fmr, expected.fnmr)
    assert after.error_curve.measured_on == expected.measured_on
    assert (after.bundle_id, after.encoder_id, after.prose) == (before.bundle_id, before.encoder_id, before.prose)
    assert after.operating_points == before.operating_points
    assert after.sha256 != before.sha256
    assert after.sha256 in "".join(printed.split())


def test_an_error_curve_of_other_trials_is_refused(folder: Path, tmp_path: Path) -> None:
    bundle = without_curve(folder / "bundle", tmp_path / "bundle")
    sealed = (bundle / "bundle.json").read_bytes()
    head, *rows = (folder / "data" / "utterances.csv").read_text().splitlines()
    others = [row for row in rows if ",validation," not in row]
    heard = [row.split(",") for row in rows if ",validation," in row]
    fewer = [",".join(row) for row in heard[1:]]
    # Every clip in the place of the next: with four clips a speaker, one of each is somebody else's.
    mixed = [",".join([after[0], *row[1:]]) for row, after in zip(heard, [*heard[1:], heard[0]], strict=True)]
    for name, chosen, message in (
        ("nobody", [], "has no validation speakers"),
        ("fewer", fewer, "give the data set that the bundle was calibrated on"),
        ("mixed", mixed, "calibrate the bundle on them with `vouch-train calibrate`"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "utterances.csv").write_text("\n".join([head, *others, *chosen]) + "\n")
        result = CliRunner().invoke(app, ["curve", str(bundle), "--data", str(tmp_path / name)])
        assert result.exit_code == 3
        assert message in " ".join(result.output.split())
        assert (bundle / "bundle.json").read_bytes() == sealed


def test_distance_and_a_missing_calibration_are_reported_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copyfile(folder / "run" / "last.pt", tmp_path / "run" / "last.pt")
    trials = ("--trials", folder / "voices" / "made.txt", "--root", folder / "voices", "--draws", 40)
    scores = ("--score", "distance", "--score", "cosine", "--condition", "full")
    printed = run("evaluate", "--encoder", tmp_path / "run", *trials, *scores)
    report = tmp_path / "run" / "evaluation" / "report.json"
    assert {row["score"] for row in rows_of(report)} == {"distance", "cosine"}
    # On unit embeddings the distance orders pairs as the cosine does.
    assert whole(report, "distance")["eer"] == pytest.approx(whole(report, "cosine")["eer"], abs=1e-6)
    assert whole(report, "cosine")["calibrated"] is None
    assert "came without a calibration" in (tmp_path / "run" / "evaluation" / "report.html").read_text()
    assert "report.html" in "".join(printed.split())


def test_the_service_scores_with_it_as_the_lab_does(folder: Path, tmp_path: Path) -> None:
    paths = [folder / "voices" / name for name in ("s3/0.wav", "s3/1.wav", "s7/0.wav")]
    encoder = load_encoder(load_bundle(folder / "bundle").encoder_path)
    embeddings = [embed(encoder, [read_samples(path)])[0] for path in paths]
    with TestClient(
        create_app(Settings(bundle=folder / "bundle", data_dir=tmp_path)), base_url="http://localhost:8000"
    ) as client:
        assert client.get("/readyz").status_code == 200
        for i, j in ((0, 1), (0, 2)):
            files = {"audio_a": paths[i].read_bytes(), "audio_b": paths[j].read_bytes()}
            answer = client.post("/v1/compare", files=files).json()
            assert answer["score"] == pytest.approx(cosine_score(embeddings[i], embeddings[j]), abs=1e-3)
            assert answer["model"]["sha256"] == load_bundle(folder / "bundle").sha256


def test_a_bundle_is_calibrated_anew_by_one_command_and_keeps_its_encoder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = load_bundle(folder / "bundle")
    run("calibrate", "--encoder", folder / "bundle", "--data", folder / "data", "--out", tmp_path / "again")
    after = load_bundle(tmp_path / "again")
    assert after.encoder_id == before.encoder_id
    data = after.card["calibration_data"]
    assert data["corpora"] == ["made"]
    assert (
        data["fitted_on"]
        == before.card["calibration_data"]["fitted_on"]
        == "6 validation speakers of made, 24 clips, strangers of any gender and age"
    )
    assert {"whole / whole", "cut / cut"} <= {kind["trials"] for kind in data["kinds"]}
    assert data["normalisation"]["is_on"] is False
    assert after.card["evaluations"] == []
    probes = {"audio_a": folder / "voices" / "s3" / "0.wav", "audio_b": folder / "voices" / "s3" / "1.wav"}
    with TestClient(
        create_app(Settings(bundle=after.path, data_dir=tmp_path / "store")), base_url="http://localhost:8000"
    ) as client:
        answer = client.post("/v1/compare", files={name: path.read_bytes() for name, path in probes.items()}).json()
    heard = hear_whole(open_encoder(after.path).module, list(probes.values()), "two")
    sides = after.likelihood.side(heard.embeddings, heard.information)
    llr = after.likelihood.llr(np.array([answer["score"]]), sides[np.array([0])], sides[np.array([1])])[0]
    assert answer["llr"] == pytest.approx(llr, abs=1e-3)
    assert answer["threshold"]["calibration_id"] == after.calibration_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--condition", "underwater"], "there is no condition 'underwater'; there are full, speech_1s"),
        (["--score", "guess"], "there is no score 'guess'; there are cosine, distance, head"),
        (["--trials", "{folder}/voices/made.txt"], "two trial lists have one name"),
        (["--manifest", "nobody.csv"], "there is no manifest at nobody.csv"),
    ],
)
def test_a_wrong_evaluation_says_what_to_do(folder: Path, arguments: list[str], message: str) -> None:
    common = ["--encoder", folder / "run", "--trials", folder / "voices" / "made.txt", "--root", folder / "voices"]
    given = [argument.format(folder=folder) for argument in arguments]
    result = CliRunner().invoke(app, ["evaluate", *map(str, common), *given])
    assert result.exit_code == 3
    assert message in " ".join(result.output.split())


def test_a_calibration_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    common = ("--recipe", folder / "tiny.toml", "--data", folder / "data", "--out", tmp_path / "run")
    run("train", *common, "--steps", 2)
    calibration = ("--calibration", folder / "run" / "calibration.json")
    arguments = ["export", "--encoder", tmp_path / "run", *calibration, "--out", tmp_path / "bundle"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 3
    assert "run `vouch-train calibrate` on it again" in " ".join(result.output.split())
    assert not (tmp_path / "bundle").exists()
    trials = ["--trials", str(folder / "voices" / "made.txt"), "--root", str(folder / "voices")]
    result = CliRunner().invoke(app, ["evaluate", "--encoder", str(tmp_path / "run"), *trials, *map(str, calibration)])
    assert result.exit_code == 3
    assert "was fitted to encoder" in " ".join(result.output.split())


def test_an_export_that_differs_is_refused(folder: Path, tmp_path: Path) -> None:
    from training.checkpoint import load_checkpoint, waveform_encoder
    from training.export import export_difference

    module = waveform_encoder(load_checkpoint(folder / "run" / "last.pt"))
    exported = load_encoder(load_bundle(folder / "bundle").encoder_path)
    assert export_difference(module, exported) <= MAX_DIFFERENCE
    weight = next(iter(module.encoder.parameters()))
    weight.data.add_(0.05 * np.float32(1.0))
    assert export_difference(module, exported) > MAX_DIFFERENCE
