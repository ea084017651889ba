"""Every figure was worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from train import metrics

TRUTH = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=bool)
SCORES = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.8], [0.2, 0.3]])


def test_accuracy_is_the_share_of_labelled_rows_whose_best_label_is_theirs() -> None:
    assert metrics.accuracy(TRUTH, SCORES) == pytest.approx(2 / 3)  # the fourth row has no label


def test_accuracy_of_nothing_is_no_number() -> None:
    assert np.isnan(metrics.accuracy(np.zeros((2, 2), dtype=bool), np.ones((2, 2))))


def test_average_precision_steps_down_the_ranking() -> None:
    truth = np.array([1, 0, 1, 0], dtype=bool)
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    assert metrics.average_precision(truth, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_average_precision_takes_equal_scores_together(order: list[int]) -> None:
    truth = np.array([1, 0, 0], dtype=bool)[order]
    assert metrics.average_precision(truth, np.array([0.5, 0.5, 0.5])) == pytest.approx(1 / 3)


def test_a_label_that_never_occurs_has_no_average_precision_and_leaves_the_mean_alone() -> None:
    truth = np.array([[1, 0], [0, 0]], dtype=bool)
    scores = np.array([[0.9, 0.5], [0.1, 0.4]])
    assert np.isnan(metrics.average_precision(truth[:, 1], scores[:, 1]))
    assert metrics.macro_average_precision(truth, scores) == 1


@pytest.mark.parametrize(
    ("scores", "area"),
    [
        ([0.9, 0.8, 0.2, 0.1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], 0.0),
        ([0.5] * 4, 0.5),
        ([0.9, 0.5, 0.5, 0.1], 0.875),
    ],
)
def test_roc_auc_counts_pairs_in_the_right_order(scores: list[float], area: float) -> None:
    assert metrics.roc_auc(np.array([1, 1, 0, 0], dtype=bool), np.array(scores)) == pytest.approx(area)


def test_roc_auc_needs_both_kinds() -> None:
    assert np.isnan(metrics.roc_auc(np.ones(3, dtype=bool), np.arange(3.0)))
    assert metrics.macro_roc_auc(TRUTH, SCORES) == pytest.approx((1 + 1) / 2)


def test_precision_and_recall_at_each_distinct_score() -> None:
    truth = np.array([1, 0, 1, 1], dtype=bool)
    thresholds, precision, recall = metrics.precision_recall(truth, np.array([0.9, 0.5, 0.5, 0.2]))
    assert thresholds.tolist() == [0.9, 0.5, 0.2]
    assert precision == pytest.approx([1, 2 / 3, 3 / 4])
    assert recall == pytest.approx([1 / 3, 2 / 3, 1])


def test_precision_recall_and_f1_per_label() -> None:
    found = metrics.per_label(TRUTH, SCORES >= 0.5)  # claims: first label in rows 0, 1, 2; second in row 2
    assert found.positives.tolist() == [2, 2]
    assert found.precision == pytest.approx([2 / 3, 1])
    assert found.recall == pytest.approx([1, 1 / 2])
    assert found.f1 == pytest.approx([4 / 5, 2 / 3])


def test_what_neither_occurs_nor_is_predicted_has_no_f1_but_a_false_claim_has_zero() -> None:
    truth = np.zeros((2, 2), dtype=bool)
    predicted = np.array([[True, False], [False, False]])
    assert metrics.per_label(truth, predicted).f1.tolist() == pytest.approx([0, np.nan], nan_ok=True)


def test_best_only_claims_one_label_a_row() -> None:
    assert metrics.best_only(SCORES).tolist() == [[True, False], [True, False], [False, True], [False, True]]


def test_confusion_has_a_place_for_nothing() -> None:
    truth = np.array([[1, 0], [0, 1], [0, 1], [0, 0], [0, 0]], dtype=bool)
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.1, 0.2], [0.1, 0.1], [0.1, 0.6]])
    matrix = metrics.confusion(truth, scores, np.array([0.5, 0.5]))
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 1]]
