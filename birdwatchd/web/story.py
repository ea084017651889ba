"""The story of a detection, in words: what each gate said of it, and what became of what it set off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.web.words import score, span

if TYPE_CHECKING:
    from birdwatchd.domain import Detection
    from birdwatchd.store.deliveries import Entry
    from birdwatchd.web.words import Words

DATING = {
    "unset": "Its times are those of a clock that nobody had set.",
    "corrected": "Its times were put right when the clock was set.",
    "repeated": "The clock had been set back: these times were there before.",
}
"""What is to be said of a detection's times."""
GATES = {
    "level": (
        "Silence",
        "Nothing reached the microphone. Is it plugged in, and is it the right one? `birdwatchd devices` shows them.",
    ),
    "species_range": (
        "Species range",
        (
            "It is not expected at this place and time of the year, or the config excludes it. "
            "`deciding.include` lets it pass all the same."
        ),
    ),
    "voice": (
        "Voice",
        "A person spoke in that window. `deciding.voice` says what becomes of such windows.",
    ),
    "threshold": (
        "Threshold",
        (
            "The model was not sure enough, or not in enough segments. `deciding.threshold`, `deciding.thresholds` for "
            "single species, and `deciding.min_hits` say how much it takes."
        ),
    ),
    "refractory": (
        "Rest",
        "It had just been reported. `deciding.refractory_seconds` says how long it rests.",
    ),
    "detection": ("Reported", "It passed all gates."),
}
"""What each gate is called on the page, and what to do about it."""
KINDS = {"done": "well", "waiting": "note", "dead": "wrong", "expired": "wrong", "lost": "wrong"}
"""How a delivery's state is shown."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one gate said."""

    gate: str
    words: str


def gates_passed(detection: Detection, minimum: float) -> tuple[Step, ...]:
    """Each gate, in their order, and why it let the detection pass; `minimum` is what the species range has to give now."""
    occurrence = detection.occurrence
    if occurrence is None:
        lives = "Whether it lives here was not asked: the species range is off, or does not know it."
    elif occurrence >= minimum:
        lives = f"It is expected here this week: {occurrence:.3f}, and {minimum:g} is enough."
    else:
        lives = (
            f"It is not expected here this week ({occurrence:.3f} below {minimum:g}): "
            "the config lets it pass by its name, or asked for less then."
        )
    spoke = (
        "A person spoke meanwhile. The config lets such detections pass; no sound of them is kept."
        if detection.voice
        else "No person was heard."
    )
    said = {
        "level": "There was sound: silence is not classified.",
        "species_range": lives,
        "voice": spoke,
        "threshold": f"The score reached {score(detection.score)}; {score(detection.threshold)} was needed.",
        "refractory": "It had not been reported just before.",
    }
    return tuple(Step(GATES[gate][0], words) for gate, words in said.items())


def told(entry: Entry, words: Words) -> str:
    """What is known of a delivery, in a sentence or two."""
    delivery = entry.delivery
    parts = []
    if delivery.status == "done":
        took = (
            ""
            if entry.settled is None
            else f", {span((entry.settled - delivery.created).total_seconds())} after"
        )
        parts.append(f"Done at {words.clock(entry.settled)}{took}.")
    elif delivery.status == "waiting":
        often = "once" if delivery.attempts == 1 else f"{delivery.attempts} times"
        failed = _sentence(f"it was tried {often}, without success: {delivery.error}")
        again = f"{failed} The next attempt is due at {words.clock(entry.next)}."
        parts.append(again if delivery.attempts else _not_tried(entry))
    else:
        parts.append(_sentence(delivery.error or "given up"))
    if delivery.status == "dead":
        parts.append(f"`birdwatchd deliveries --retry {delivery.key}` lets it wait again.")
    noted = "; ".join(f"{name.replace('_', ' ')}: {_noted(value)}" for name, value in entry.notes.items())
    return " ".join([*parts, f"Noted: {noted}." if noted else ""]).strip()


def _not_tried(entry: Entry) -> str:
    if entry.kind == "bounded":
        return "It waits until the sound that follows has been heard."
    return "It has not been tried yet."


def _sentence(words: str) -> str:
    """With a capital at its beginning and a stop at its end."""
    # The name of a server stays as it is.
    begun = f"{words[:1].upper()}{words[1:]}" if words.partition(" ")[0].isalpha() else words
    return begun + "." * (words[-1:] not in ".?!")


def _noted(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
