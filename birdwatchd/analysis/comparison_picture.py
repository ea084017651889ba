"""A comparison of models as a picture: precision over recall, and where each one's thresholds put it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.analysis.ranking import precision_recall
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from birdwatchd.analysis.comparison import Comparison

DOTS_PER_INCH = 110
COLOURS = ("#2f7a50", "#b4690e")


def picture(comparison: Comparison) -> bytes:
    """As PNG. Only cases count whose label every model has.

    Raises:
        UserError: matplotlib is not installed, or there is nothing to draw.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("--picture draws with matplotlib: pip install 'birdwatchd[train]'") from error
    shared = [case for case in comparison.cases if None not in case.scores]
    truth = np.array([case.is_there for case in shared], dtype=bool)
    if not truth.any() or truth.all():
        raise UserError(
            "there is nothing to draw: clips judged right and clips judged wrong are wanted, of species that both models know"
        )
    figure = Figure(figsize=(7, 5), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    for model, name in enumerate(comparison.names):
        scores = np.array([case.scores[model] for case in shared], dtype=np.float64)
        _, precision, recall = precision_recall(truth, scores)
        tally = comparison.tally(model, shared)
        colour = COLOURS[model % len(COLOURS)]
        # What stands between two dollars would be read as a formula.
        label = f"{name} ({tally.average_precision:.3f})".replace("$", r"\$")
        axes.step([0, *recall], [precision[0], *precision], where="pre", color=colour, label=label)
        if claims := tally.found + tally.false:
            axes.plot(tally.found / truth.sum(), tally.found / claims, "o", color=colour, markersize=9)
    axes.set(
        xlabel="recall: share of what is there that is found",
        ylabel="precision: share of the claims that is right",
        xlim=(0, 1.01),
        ylim=(0, 1.03),
    )
    axes.set_title(f"{comparison.clips} reviewed clips; the dots are the thresholds", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", title="average precision")
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
