from typing import Any

import pytest

import made_reports
from training.licences import LICENCES, NOT_KNOWN, licence_of
from training.model_card import model_card
from training.prepare import READERS
from training.reports import Evaluation, Slice
from training.served_worse import NOT_MEASURED, served_worse

POINT = {
    "name": "eer",
    "llr": 0.1,
    "fmr": 0.02,
    "fnmr": 0.021,
    "fmr_interval": [0.01, 0.03],
    "fnmr_interval": [0.01, 0.04],
    "n_target": 900,
    "n_non_target": 9_000,
    "measured_on": "40 other speakers",
}


def card(**changes: Any) -> dict[str, Any]:
    return {
        "bundle_id": "new-e1-c1",
        "encoder_id": "e1",
        "n_embedding": 192,
        "n_parameters": 1_838_304,
        "licence": "Apache-2.0",
        "training": {
            "recipe": {"name": "default"},
            "steps": 7_000,
            "elapsed_s": 3_660,
            "data": {
                "corpora": ["librispeech-train-clean", "somebody's"],
                "n_speakers": 461,
                "n_clips": 4_637,
                "hours": 5.82,
            },
            "initialisation": "random",
            "teacher": None,
        },
        "calibration": {"calibration_id": "c1"},
        "calibration_data": {
            "fitted_on": "40 other speakers",
            "corpora": ["speechocean762"],
            "cllr_bits": 0.136,
            "min_cllr_bits": 0.134,
            "unsupported_operating_points": {"fmr_1e-3": "with 40 speakers the rate may be as high as 0.0032"},
        },
        "operating_points": {"eer": POINT},
        "limits": ["No presentation-attack detection."],
        **changes,
    }


def own_rows() -> list[Evaluation]:
    return [row for row in made_reports.report().evaluations if row.encoder == "new"]


def section(text: str, title: str) -> str:
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_card_says_what_it_is_made_of() -> None:
    text = model_card(card(), own_rows())
    assert text.startswith("# Model card: new-e1-c1\n")
    assert "1,838,304 parameters, 192-dimensional embedding; licence Apache-2.0" in text
    assert "from random weights by recipe `default`: 7,000 steps, 61 minutes" in text
    assert "461 speakers, 4,637 clips, 5.82 hours; no teacher" in text
    data = section(text, "Data and licences")
    assert "| librispeech-train-clean | training | CC BY 4.0 |" in data
    assert f"| somebody's | training | {NOT_KNOWN} |" in data
    assert "| speechocean762 | calibration, on speakers that were not trained on | CC BY 4.0 |" in data
    assert "| made-test | measuring |" in data


def test_a_teacher_is_named() -> None:
    about = card()
    about["training"]["teacher"] = {"name": "resemblyzer-1f6e", "encoder_id": "1f6e", "weight": 10.0}
    assert "taught to match the embeddings of resemblyzer-1f6e (`1f6e`)." in model_card(about)
    about["training"]["teacher"]["initialisation"] = "imported from a file (Apache-2.0)"
    assert "resemblyzer-1f6e (`1f6e`), imported from a file (Apache-2.0)" in model_card(about)


def test_an_imported_encoder_was_trained_elsewhere() -> None:
    about = card(
        training={"initialisation": "imported from a file", "data": {"corpora": ["VoxCeleb1"]}}, n_parameters=None
    )
    text = model_card(about)
    assert "**Trained** elsewhere, on VoxCeleb1: imported from a file." in text
    assert "| VoxCeleb1 | training | CC BY 4.0 for the lists" in text


def test_the_calibration_says_what_it_knows_and_what_it_is_worth() -> None:
    about = card()
    about["calibration"]["terms"] = [{"feature": "speech"}, {"feature": "speech_both"}, {"feature": "clips"}]
    about["calibration_data"] |= {
        "is_held_out": True,
        "kinds": [
            {"trials": "3 against 1", "n_target": 900, "n_non_target": 9_000, "cllr_bits": 0.07, "min_cllr_bits": 0.06}
        ],
        "normalisation": {"is_on": False, "reason": "it costs other corpora more"},
    }
    text = model_card(about)
    assert (
        "LLR from score and net speech, number of clips: Cllr 0.136 bits on speakers that the fit did not hear" in text
    )
    assert "- **Score normalisation** (AS-norm) is off: it costs other corpora more.\n" in text
    assert "| 3 against 1 | 900 + 9,000 | 0.060 / 0.070 |" in section(text, "What the LLRs are worth")
    assert "LLR from score alone: Cllr 0.136 bits there" in model_card(card())


def test_rates_stand_with_their_intervals() -> None:
    rates = section(model_card(card(), own_rows()), "Error rates")
    assert (
        "| made-test | 1 clip | 1,200 + 20,000 | 24 | 3.00 [2.00, 4.00] | 0.300 / 0.320 | 0.300 / 0.320 | 0.180 / 0.200 [0.16, 0.24] |"
        in rates
    )
    assert "| made-test | 3 clips |" in rates
    assert (
        "| made-test | 1 clip | 2.00 [1.00, 4.00] / 4.00 [2.00, 8.00] | 0.50 [0.00, 2.00] / 8.00 [4.00, 12.0] |"
        in rates
    )
    assert rates.count("| made-test | 1 clip |") == 2  # the bare cosine is not repeated


def test_points_and_what_could_not_be_written() -> None:
    points = section(model_card(card()), "Operating points")
    assert (
        "| `eer` | 0.100 | 2.00 [1.00, 3.00] | 2.10 [1.00, 4.00] | 40 other speakers (900 + 9,000 trials) |" in points
    )
    assert "`fmr_1e-3` is not written: with 40 speakers" in points


def test_a_card_without_a_report_says_so() -> None:
    text = model_card(card())
    assert "Not measured: export the bundle with `--evaluation report.json`." in text
    assert "## Whom it serves worse" not in text
    assert "- No presentation-attack detection." in section(text, "Limits")


def test_slices_are_those_of_both_clips() -> None:
    slices = section(model_card(card(), own_rows()), "Where it gets harder")
    assert "| made-test | 1 s of net speech, both clips | 1,200 + 20,000 | 12.0 [11.0, 13.0] | 0.180 / 0.600" in slices
    assert "| made-test | children |" in slices
    assert "probe only" not in slices


def test_history_is_told() -> None:
    before = [made_reports.evaluation(0.15, encoder="seed", score="distance", calibrated=None)]
    assert "| seed | made-test | distance | 15.0 [14.0, 16.0] | 0.30 |" in section(
        model_card(card(), history=before), "History"
    )


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    text = model_card(card(), own_rows(), [made_reports.evaluation(encoder="seed")])
    tables = [block for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 6
    for table in tables:
        assert len({line.count(" | ") for line in table.splitlines()}) == 1, table


def test_who_is_served_worse_is_said_with_numbers() -> None:
    first, *others = served_worse(own_rows())
    assert first == (
        "**Children** on made-test: EER 5.00 % [4.00, 6.00], against 2.00 % [1.50, 2.50] for adults, 2.5 times as high. At `eer`, "
        "8.00 % of own trials are turned away and 5.00 % of strangers let in among children; among adults, 2.00 % and 1.00 %."
    )
    assert others == [
        "**words-test** is the hardest of the lists: EER 15.0 % [14.0, 16.0], against 3.00 % [2.00, 4.00] on made-test.",
        "**1 s of net speech, both clips** on made-test: EER 12.0 % [11.0, 13.0], against 3.00 % [2.00, 4.00] as recorded. "
        "At `eer`, 4.00 % of own trials are turned away and 2.00 % of strangers let in.",
    ]


def test_a_difference_that_few_speakers_do_not_settle_is_called_that() -> None:
    rows = [
        made_reports.evaluation(),
        made_reports.evaluation(0.03, 0.02, slice=Slice("gender", "female"), n_speakers=9),
        made_reports.evaluation(0.04, 0.02, slice=Slice("gender", "male"), n_speakers=8),
    ]
    sentence = served_worse(rows)[0]
    assert sentence.startswith("**Male voices** on made-test: EER 4.00 %")
    assert sentence.endswith("The intervals overlap: 8 and 9 speakers do not settle it.")


def test_each_kind_of_condition_is_named_by_its_hardest_and_so_is_the_loosest_threshold() -> None:
    def noisy(eer: float, name: str, fmr: float, group: str = "noise") -> Evaluation:
        return made_reports.evaluation(eer, slice=Slice(group, name, "both"), calibrated=made_reports.rates(fmr=fmr))

    rows = [
        made_reports.evaluation(),
        noisy(0.05, "10 dB", 0.1),
        noisy(0.09, "5 dB", 0.2),
        noisy(0.02, "5 s", 0.01, "net_speech"),  # no harder than the whole list
        noisy(0.06, "telephone", 0.1, "codec"),
        noisy(0.04, "opus", 0.5, "codec"),
    ]
    found = [sentence.split(" on ")[0] for sentence in served_worse(rows)[1:]]
    assert found == [
        "**Noise at 5 dB, both clips**",
        "**8 kHz telephone, both clips**",
        "**Opus at its lowest rate, both clips**",
    ]


def test_without_a_manifest_nobody_is_compared() -> None:
    assert served_worse([made_reports.evaluation()]) == [NOT_MEASURED]


def test_no_error_at_all_can_be_compared() -> None:
    rows = [
        made_reports.evaluation(0.0, 0.0, slice=Slice("gender", name), trials=trials)
        for name in ("female", "male")
        for trials in ("a", "b")
    ]
    assert all("times" not in sentence for sentence in served_worse(rows))


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("speechocean762-dev-adults", "CC BY 4.0"),
        ("librispeech-test-other-test", "CC BY 4.0"),
        ("dspspeech20-test", "MIT"),
        ("VoxCeleb2", LICENCES["voxceleb"]),
        ("mine", NOT_KNOWN),
    ],
)
def test_a_licence_is_that_of_the_corpus_or_of_a_list_named_after_it(name: str, licence: str) -> None:
    assert licence_of(name) == licence


def test_every_reader_of_a_named_corpus_has_its_licence() -> None:
    of_any = {"manifest", "folders", "folder", "shards", "prepared"}
    assert {licence_of(kind) for kind in READERS if kind not in of_any}.isdisjoint({NOT_KNOWN})
