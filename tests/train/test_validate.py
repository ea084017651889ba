"""Which epoch is kept."""

from __future__ import annotations

from dataclasses import astuple

from train.validate import Best


def kept(history: list[tuple[float, float]], best: Best) -> int:
    """The epoch that is kept of those with these macro average precisions and losses."""
    for epoch, (macro_ap, loss) in enumerate(history, 1):
        best.beaten_by({"epoch": epoch, "validation_macro_ap": macro_ap, "validation_loss": loss})
    return best.epoch


def test_a_lucky_early_epoch_does_not_win_over_what_is_learnt_later() -> None:
    assert kept([(0.95, 0.10), (0.97, 0.08), (0.96, 0.06), (0.96, 0.07)], Best.of(80)) == 3


def test_with_many_clips_to_validate_on_the_precision_decides() -> None:
    assert kept([(0.95, 0.10), (0.97, 0.08), (0.96, 0.06), (0.96, 0.07)], Best.of(1000)) == 2


def test_an_epoch_that_falls_too_far_behind_a_later_one_is_not_kept() -> None:
    assert kept([(0.90, 0.01), (0.99, 0.50)], Best.of(80)) == 2


def test_where_all_is_right_the_loss_decides() -> None:
    assert kept([(1.0, 0.3), (1.0, 0.2), (1.0, 0.4)], Best.of(20)) == 2


def test_without_validation_the_last_is_kept() -> None:
    best = Best.of(0)
    assert [best.beaten_by({"epoch": epoch}) for epoch in (1.0, 2.0, 3.0)] == [True, True, True]
    assert best.epoch == 3


def test_it_goes_on_after_a_resume() -> None:
    whole, halves = Best.of(80), Best.of(80)
    history = [(0.95, 0.10), (0.97, 0.08), (0.93, 0.01), (0.96, 0.06)]
    kept(history, whole)
    kept(history[:2], halves)
    halves = Best(*astuple(halves))
    for epoch, (macro_ap, loss) in enumerate(history[2:], 3):
        halves.beaten_by({"epoch": epoch, "validation_macro_ap": macro_ap, "validation_loss": loss})
    assert halves == whole
