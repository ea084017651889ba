"""The pictures of an evaluation, as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from train.metrics import average_precision, precision_recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_NUMBERS = 25
"""With more labels, the numbers in the squares would not be readable."""
MOST_CURVES = 12
"""With more labels, those that do worst are drawn."""
DOTS_PER_INCH = 110


def confusion_png(matrix: NDArray[np.int64], names: Sequence[str]) -> bytes:
    """The confusion matrix (labels + 1, labels + 1), each row coloured by its shares. Rows nobody is in are left out."""
    names = [*map(_literal, names), "nothing"]
    rows = np.flatnonzero(matrix.sum(axis=1))
    shares = matrix[rows] / matrix[rows].sum(axis=1, keepdims=True)
    size = 2.5 + 0.42 * len(names)
    figure = Figure(figsize=(min(size + 1, 24), min(size, 24)), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(rows)), [names[row] for row in rows])
    axes.set_xlabel("taken for")
    axes.set_ylabel("what it is")
    if len(names) <= MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            if count := matrix[rows[row], column]:
                colour = "white" if share > 0.6 else "black"  # noqa: PLR2004 - dark enough for white
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return _png(figure)


def precision_recall_png(
    truth: NDArray[np.bool_], scores: NDArray[np.floating], names: Sequence[str]
) -> bytes:
    """Precision over recall of each label that occurs; `truth` and `scores` are (n, labels)."""
    areas = {
        label: average_precision(truth[:, label], scores[:, label])
        for label in np.flatnonzero(truth.any(axis=0)).tolist()
    }
    worst = sorted(areas, key=lambda label: areas[label])[:MOST_CURVES]
    figure = Figure(figsize=(8, 5.5), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    for label in worst:
        _, precision, recall = precision_recall(truth[:, label], scores[:, label])
        # As steps, which is how the area is counted.
        axes.step(
            [0, *recall],
            [precision[0], *precision],
            where="pre",
            label=f"{_literal(names[label])} ({areas[label]:.2f})",
        )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.grid(alpha=0.3)
    if worst:
        axes.legend(fontsize=8, loc="lower left", title="average precision", title_fontsize=8)
    if len(areas) > len(worst):
        axes.set_title(f"the {len(worst)} of {len(areas)} labels that do worst", fontsize=9)
    return _png(figure)


def _literal(name: str) -> str:
    """What stands between two dollars would be read as a formula."""
    return name.replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
