from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from train.calibrate import calibrate, threshold_for
from train.calibration import Calibration, calibration_path, read_calibration, write_calibration
from train.manifest import Row
from train.platt import Line, fit_line
from train.scoring import Scored, Scores

LABELS = (Label(0, "Testus altus", "High Tone"), Label(1, "Testus bassus", "Low Tone"))


def test_scores_that_say_too_much_are_brought_to_what_is_true() -> None:
    random = np.random.default_rng(0)
    likely = random.uniform(0.05, 0.95, 20_000)
    truth = random.uniform(size=len(likely)) < likely
    logit = np.log(likely / (1 - likely))
    shown = 1 / (1 + np.exp(-(3 * logit + 1)))  # overconfident and too high
    line = fit_line(truth[:, None], shown[:, None])
    assert line.scale == pytest.approx([1 / 3], rel=0.05)
    assert line.shift == pytest.approx([-1 / 3], abs=0.05)
    assert np.abs(line.apply(shown[:, None])[:, 0] - likely).mean() < 0.01


def test_a_label_without_both_kinds_keeps_its_scores() -> None:
    truth = np.array([[True, False], [True, False]])
    scores = np.array([[0.9, 0.2], [0.3, 0.1]], dtype=np.float32)
    assert fit_line(truth, scores).apply(scores) == pytest.approx(scores, abs=1e-6)


def test_a_label_that_was_not_there_is_brought_where_the_others_are() -> None:
    draw = np.random.default_rng(0)
    likely = draw.random(2000)
    truth = np.stack([draw.random(2000) < likely, np.zeros(2000, dtype=bool)], axis=1)
    shown = likely**3 / (likely**3 + (1 - likely) ** 3)  # three times too sure
    line = fit_line(truth, np.stack([shown, shown], axis=1))
    assert line.scale == pytest.approx([1 / 3, 1 / 3], abs=0.05)


def test_with_a_handful_of_clips_labels_keep_their_order() -> None:
    draw = np.random.default_rng(0)
    truth = np.eye(4, dtype=bool).repeat(2, axis=0)
    scores = np.clip(0.1 + 0.6 * truth + 0.1 * draw.random((8, 4)), 0, 1)
    calibrated = fit_line(truth, scores).apply(scores)
    assert (calibrated.argmax(axis=1) == scores.argmax(axis=1)).all()


def test_labels_are_never_turned_upside_down() -> None:
    truth = np.array([[True], [True], [False], [False]])
    scores = np.array([[0.1], [0.2], [0.8], [0.9]])
    assert fit_line(truth, scores).scale > 0


def test_wholly_separated_labels_get_a_finite_line() -> None:
    truth = np.array([[True]] * 20 + [[False]] * 20)
    line = fit_line(truth, np.where(truth, 0.999, 0.001))
    assert np.isfinite(line.scale).all()
    assert 0.9 < line.apply(np.array([[0.999]]))[0, 0] < 1


def test_the_threshold_is_the_lowest_with_that_precision() -> None:
    truth = np.array([1, 1, 1, 0, 1, 0, 0], dtype=bool)
    scores = np.array([0.97, 0.95, 0.9, 0.85, 0.8, 0.76, 0.72])
    assert threshold_for(truth, scores, 0.8) == pytest.approx((0.78, True))  # four of five are right
    assert threshold_for(truth, scores, 0.9) == pytest.approx((0.875, True))


def test_in_clips_that_hold_nothing_no_share_of_wrong_claims_is_borne() -> None:
    truth = np.array([True] * 30 + [False, False, True])
    scores = np.array([0.95] * 28 + [0.9, 0.8, 0.85, 0.2, 0.75])
    assert threshold_for(truth, scores, 0.95) == pytest.approx((0.7, True))
    assert threshold_for(truth, scores, 0.95, above=0.85) == pytest.approx((0.875, True))
    assert threshold_for(truth, scores, 0.95, above=0.97) == pytest.approx((0.985, False))


def test_what_scores_higher_than_any_usual_threshold_is_not_let_through_either() -> None:
    truth = np.array([True, True, False])
    # Background, a wrong claim beside claims that are right, and wrong claims alone.
    assert threshold_for(truth, np.array([0.999, 0.999, 0.995]), 0.95, 0.995) == pytest.approx((0.997, True))
    assert threshold_for(truth, np.array([0.999, 0.999, 0.995]), 0.95) == pytest.approx((0.997, True))
    assert threshold_for(truth, np.array([0.8, 0.8, 0.995]), 0.95) == pytest.approx((0.9975, False))
    threshold, reached = threshold_for(truth, np.array([1.0, 1.0, 1.0]), 0.95)
    assert not reached
    assert threshold > 1
    # Where nothing wrong comes near, it is no higher than usual.
    assert threshold_for(truth, np.array([0.999, 0.999, 0.985]), 0.95) == pytest.approx((0.99, True))


def test_a_threshold_is_not_rounded_down_to_what_it_keeps_out() -> None:
    thresholds = np.array([0.99502, 0.995])
    found = Calibration(("Testus altus", "Testus bassus"), Line(np.ones(2), np.zeros(2)), thresholds, "said")
    assert found.by_name == {"Testus altus": 0.9951, "Testus bassus": 0.995}


def test_no_label_is_detected_more_readily_than_one_without_calibration() -> None:
    assert threshold_for(np.array([True, False]), np.array([0.3, 0.1]), 0.9) == (0.7, True)


def test_claims_below_the_least_threshold_make_up_for_none_above_it() -> None:
    truth = np.array([False, True] + [True] * 30)
    scores = np.array([0.9, 0.8] + [0.5] * 30)  # 31 of 32 are right, but from 0.7 on one of two
    assert threshold_for(truth, scores, 0.95) == pytest.approx((0.95, False))


def test_a_precision_out_of_reach_is_said_and_the_threshold_put_above_all_that_is_wrong() -> None:
    threshold, reached = threshold_for(np.array([False, True]), np.array([0.9, 0.8]), 0.95)
    assert not reached
    assert threshold == pytest.approx(0.95)


def test_a_label_without_positives_is_not_reached() -> None:
    assert threshold_for(np.array([False]), np.array([0.6]), 0.9) == pytest.approx((0.8, False))


def test_thresholds_are_of_windows_as_the_daemon_decides_on_them() -> None:
    def clip(true: bool, *values: float) -> Scored:
        column = np.array(values, dtype=np.float32)[:, None]
        return Scored(Row(Path("a.wav"), ()), np.array([true]), tuple(map(float, range(len(values)))), column)

    # One loud segment of three is a wrong claim by segment, and none by window.
    rows = (
        [clip(True, 0.9, 0.9, 0.9)] * 20
        + [clip(False, 0.95, 0.01, 0.01)]
        + [clip(False, 0.01, 0.01, 0.01)] * 20
    )
    scores = Scores(("Testus altus",), rows, per_window=3)
    calibration, unreached = calibrate(scores, precision=1.0, said="tests")
    assert not unreached
    truth, decisive = scores.changed(calibration.line.apply).by_window
    assert ((decisive >= calibration.thresholds) == truth).all()


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    line = Line(np.array([0.5, 2.0]), np.array([0.1, -0.3]))
    write_calibration(
        checkpoint, Calibration(("Testus altus", "Testus bassus"), line, np.array([0.6, 0.7]), "said")
    )
    found = read_calibration(checkpoint, LABELS)
    assert found is not None
    assert found.by_name == {"Testus altus": 0.6, "Testus bassus": 0.7}
    assert found.line.scale.tolist() == [0.5, 2.0]
    assert found.line.shift.tolist() == [0.1, -0.3]
    assert found.said == "said"


def test_another_checkpoint_or_other_labels_are_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    assert read_calibration(checkpoint, LABELS) is None
    line = Line(np.ones(2), np.zeros(2))
    write_calibration(checkpoint, Calibration(("Testus altus", "Testus bassus"), line, np.ones(2), "said"))
    with pytest.raises(UserError, match="another checkpoint"):
        read_calibration(checkpoint, LABELS[:1])
    checkpoint.write_bytes(b"other weights")
    with pytest.raises(UserError, match="another checkpoint"):
        read_calibration(checkpoint, LABELS)


def test_what_is_no_calibration_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    calibration_path(checkpoint).write_text('{"labels": 3}')
    with pytest.raises(UserError, match="is no calibration"):
        read_calibration(checkpoint, LABELS)
