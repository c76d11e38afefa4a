import json
from pathlib import Path

import pytest

import made_reports
from model.errors import InvalidArgument
from training.report_rows import (
    cosine_beside,
    number_interval,
    on_best_scale,
    percent,
    percent_interval,
    slice_rows,
    whole_lists,
)
from training.reports import ALL, Slice, measured_with, read_report, write_report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_report(made_reports.report(), tmp_path / "deep" / "report.json")
    return tmp_path / "deep" / "report.json"


def test_a_report_reads_back_as_it_was_written(path: Path) -> None:
    assert read_report(path) == made_reports.report()


def test_the_structure_is_the_documented_one(path: Path) -> None:
    table = json.loads(path.read_text())
    assert set(table) == {
        *("format_version", "created_at", "n_draws", "encoders", "lists"),
        *("evaluations", "differences", "not_measured"),
    }
    assert table["format_version"] == 1
    row = table["evaluations"][3]
    assert row["slice"] == {"group": "net_speech", "name": "1 s", "on": "both"}
    assert row["eer_interval"] == pytest.approx([0.11, 0.13])
    assert [cost["p_target"] for cost in row["detection_costs"]] == [0.01, 0.05]
    assert row["calibrated"]["fnmr_interval"]["eer"] == [0.02, 0.08]
    bare = table["evaluations"][7]
    assert (bare["calibrated"], bare["detection_costs"][0]["act_dcf"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a report"),
        ("[]", "is not a report"),
        ('{"eer": 0.1}', "is not a report"),
        ('{"format_version": 2}', "report format 2; this version reads 1"),
        ('{"format_version": 1, "created_at": "now"}', "n_draws: Field required"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        read_report(tmp_path / "r.json")


def test_an_absent_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is not a report"):
        read_report(tmp_path / "r.json")


def test_a_card_takes_its_own_encoder_s_rows_and_refuses_others(path: Path) -> None:
    assert {row.encoder for row in measured_with(path, "e1", "c1")} == {"new"}
    assert len(measured_with(path, "e2", "c9")) == 3  # bare scores belong to no calibration
    with pytest.raises(InvalidArgument, match="measured encoder e1, e2, and this one is e3"):
        measured_with(path, "e3", "c1")
    with pytest.raises(InvalidArgument, match="thresholds of calibration c1, and the bundle's is c2"):
        measured_with(path, "e1", "c2")


def test_whole_lists_are_shown_by_llr_with_the_cosine_beside_it() -> None:
    report = made_reports.report()
    rows = whole_lists(report, "made-test")
    assert [(r.encoder, r.score, r.n_enrollment_clips) for r in rows] == [
        ("new", "llr", 1),
        ("old", "cosine", 1),
        ("new", "llr", 3),
    ]
    cosine = cosine_beside(report, rows[0])
    assert cosine is not None
    assert cosine.eer == 0.031
    assert cosine_beside(report, rows[1]) is None


def test_slices_are_in_order_with_a_cell_for_each_encoder() -> None:
    rows = slice_rows(made_reports.report(), "made-test")
    assert [row.label for row in rows] == [
        "all trials",
        "all trials, against 3 clips",
        "1 s of net speech, both clips",
        "1 s of net speech, probe only, against 3 clips",
        "adults",
        "children",
    ]
    assert [[cell and cell.eer for cell in row.cells] for row in rows[2:4]] == [[0.12, 0.2], [0.06, None]]
    assert rows[0].n_trials == (1_200, 20_000)
    assert slice_rows(made_reports.report(), "words-test") == []


def test_each_encoder_is_shown_on_its_best_scale() -> None:
    rows = [
        made_reports.evaluation(score="cosine"),
        made_reports.evaluation(score="llr"),
        made_reports.evaluation(score="distance", encoder="old"),
        made_reports.evaluation(score="head", encoder="old"),
    ]
    assert [(row.encoder, row.score) for row in on_best_scale(rows)] == [("new", "llr"), ("old", "distance")]


def test_numbers_have_the_digits_that_mean_something() -> None:
    assert [percent(rate) for rate in (0.0, 0.00444, 0.0994, 0.1049, 0.5)] == ["0.00", "0.44", "9.94", "10.5", "50.0"]
    assert percent_interval((0.001, 0.2)) == "[0.10, 20.0]"
    assert number_interval((0.1234, 1.0)) == "[0.12, 1.00]"


def test_a_slice_is_what_it_says() -> None:
    assert Slice("all", "all") == ALL
