"""An evaluation as a page, as pictures and as JSON. The page is one file: it loads nothing from anywhere."""

from __future__ import annotations

import base64
import json
import math
from html import escape
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from birdwatchd.on_disk import whole
from train.events import total
from train.pictures import confusion_png, precision_recall_png

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from train.evaluate import Evaluation, View
    from train.events import Matches

TITLES = {
    "accuracy": "accuracy of the best label",
    "macro_average_precision": "macro average precision",
    "macro_roc_auc": "macro ROC-AUC",
    "macro_f1_of_best": "macro F1 of the best label",
    "macro_f1_at_threshold": "macro F1 at the thresholds",
    "false_claims": "false claims at the thresholds",
}
COUNTS = frozenset({"false_claims"})
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; background: white; }
.faults { color: #b00; }
"""


def write_report(
    folder: Path, evaluation: Evaluation, events: Mapping[str, Matches] | None = None, seconds: float = 0.0
) -> Path:
    """Write `report.html`, the pictures and `metrics.json` into `folder`, and return the page.

    Args:
        folder: made if it is not there; files of these names in it are replaced.
        evaluation: what is reported.
        events: matches in annotated recordings, by scientific name.
        seconds: how much annotated sound there was.

    Raises:
        UserError: it cannot be written.
    """
    clips = evaluation.clips
    pictures = {
        "confusion.png": confusion_png(clips.confusion, evaluation.names),
        "precision_recall.png": precision_recall_png(clips.truth, clips.scores, evaluation.names),
    }
    page = folder / "report.html"
    try:
        for path, content in (
            *((folder / name, picture) for name, picture in pictures.items()),
            (folder / "metrics.json", _json(evaluation, events).encode()),
            (page, _page(evaluation, pictures, events, seconds).encode()),
        ):
            with whole(path) as file:
                file.write(content)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to ({error.strerror or error}): give another --output"
        ) from error
    return page


def shown(name: str, value: float) -> str:
    """A figure as people read it; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if name in COUNTS else f"{value:.3f}"


def _page(
    evaluation: Evaluation,
    pictures: Mapping[str, bytes],
    events: Mapping[str, Matches] | None,
    seconds: float,
) -> str:
    views = (evaluation.clips, evaluation.windows)
    parts = [
        f"<h1>{escape(evaluation.model)}</h1>",
        f"<p>{len(views[0].truth)} clips, {len(views[1].truth)} windows, {len(evaluation.names)} labels.</p>",
        _faults(evaluation),
        "<h2>Figures</h2>",
        _table(
            ("", "by clip", "by window"),
            ((title, *(shown(name, view.figures[name]) for view in views)) for name, title in TITLES.items()),
        ),
    ]
    if evaluation.folds:
        parts += ["<h2>Folds, by clip</h2>", _folds(evaluation)]
    parts += [
        "<h2>Labels, by clip, at their thresholds</h2>",
        _labels(evaluation.names, evaluation.clips),
        "<h2>Labels, by window, at their thresholds</h2>",
        _labels(evaluation.names, evaluation.windows),
        "<h2>What was taken for what, by clip</h2>",
        _image(pictures["confusion.png"], "confusion matrix"),
        "<h2>Precision and recall, by clip</h2>",
        _image(pictures["precision_recall.png"], "precision-recall curves"),
    ]
    if events is not None:
        parts += [f"<h2>Annotated recordings, {seconds / 60:.1f} minutes</h2>", _events(events)]
    title = escape(evaluation.model)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _faults(evaluation: Evaluation) -> str:
    lines = [*evaluation.notes, *evaluation.faults]
    if evaluation.unknown:
        lines.append(f"no labels of the model, taken as absent: {', '.join(evaluation.unknown)}")
    if not lines:
        return ""
    return '<ul class="faults">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _folds(evaluation: Evaluation) -> str:
    numbers = range(1, len(evaluation.folds) + 1)
    rows = []
    for name, (mean, deviation, *_) in evaluation.spread.items():
        of_folds = (shown(name, fold[name]) for fold in evaluation.folds)
        rows.append((TITLES[name], *of_folds, f"{mean:.3f} ± {deviation:.3f}"))
    return _table(("", *map(str, numbers), "mean ± deviation"), rows)


def _labels(names: Sequence[str], view: View) -> str:
    found = view.per_label
    return _table(
        ("label", "there", "precision", "recall", "F1", "average precision", "threshold"),
        (
            (
                name,
                str(found.positives[label]),
                *(shown("", float(column[label])) for column in (found.precision, found.recall, found.f1)),
                shown("", view.average_precisions[label]),
                shown("", float(view.thresholds[:, label].mean())),
            )
            for label, name in enumerate(names)
        ),
    )


def _events(events: Mapping[str, Matches]) -> str:
    rows = [
        (
            name,
            str(one.events),
            str(one.found),
            str(one.detections),
            str(one.false_detections),
            shown("", one.precision),
            shown("", one.recall),
        )
        for name, one in [*events.items(), ("all", total(events))]
    ]
    return _table(("label", "events", "found", "detections", "false", "precision", "recall"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _image(content: bytes, alternative: str) -> str:
    return f'<img alt="{alternative}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _json(evaluation: Evaluation, events: Mapping[str, Matches] | None) -> str:
    """JSON has no NaN: what there is none of is null."""
    content = {
        "model": evaluation.model,
        "clips": _known(evaluation.clips.figures),
        "windows": _known(evaluation.windows.figures),
        "folds": [_known(fold) for fold in evaluation.folds],
        "left_out": list(evaluation.faults),
        "notes": list(evaluation.notes),
    }
    if events is not None:
        content["events"] = {
            name: {
                "events": one.events,
                "found": one.found,
                "detections": one.detections,
                "false": one.false_detections,
            }
            for name, one in events.items()
        }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _known(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in figures.items()}
