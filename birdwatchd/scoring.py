"""Scoring: a classifier that fails now and then, for want of memory above all, and what is made of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FAILED = "analysis failed"
"""Why sound is skipped that could not be analysed, though there was time."""
MOST_FAILURES = 20
"""So many batches in a row that cannot be scored, and it is left to a new process. They are half a minute of one source, and so
long it takes until that is there (RestartSec= of the unit): to leave earlier would cost more than it saves."""

logger = structlog.get_logger()


class Classifier(Protocol):
    """What the pipeline needs of a model."""

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 (segments, samples) to scores float32 (segments, labels)."""


class Scoring:
    """Asks a classifier, and again where it fails. For the pipeline's thread."""

    def __init__(self, classifier: Classifier, *, may_fail: bool) -> None:
        """Where a batch `may_fail` it is left out, unless that goes on."""
        self.classifier = classifier
        """May be exchanged between two batches."""
        self._most = MOST_FAILURES if may_fail else 1
        self._failures = 0

    def scores(self, segments: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Scores float32 (segments, labels) of float32 (segments, samples); None when it failed twice.

        Raises:
            Exception: what the classifier raised; it has failed with too many batches in a row.
        """
        try:
            scores = self._twice(segments)
        except Exception as error:
            self._failures += 1
            if self._failures >= self._most:
                raise
            logger.error(  # noqa: TRY400 - where it came from was said the first time
                "model failed, sound was skipped", segments=len(segments), reason=_words(error)
            )
            return None
        self._failures = 0
        return scores

    def _twice(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return self.classifier.classify(segments)
        except Exception as error:
            # Whatever it is: to ask once more costs little, and to leave costs much.
            logger.warning("model failed, it is asked again", reason=_words(error), exc_info=True)
        return self.classifier.classify(segments)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip()
