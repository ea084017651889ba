"""A detection as JSON, for the programs and servers that actions give it to. docs/webhook.md shows one.

The fields of `detection` are those of `birdwatchd detections --json`. (MQTT speaks birdnet-go's dialect instead.)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from birdwatchd.record import to_record

if TYPE_CHECKING:
    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection


def encoded(detection: Detection, context: Context) -> bytes:
    """Compact JSON in UTF-8. Addresses of the page are null where there are none."""
    links = {"page_url": context.page_url or None, "clip_url": context.clip_url or None}
    return json.dumps(
        payload(detection, context) | links, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def payload(detection: Detection, context: Context) -> dict[str, Any]:
    """The detection, its place among others of its species, and who tells it."""
    place, tally = context.location, context.delivery.tally
    return {
        "node": context.node,
        "location": None if place is None else {"latitude": place.latitude, "longitude": place.longitude},
        "action": context.delivery.action,
        "key": context.delivery.key,
        "detection": to_record(detection, context.zone),
        "tally": {
            "count_today": tally.count_today,
            "first_today": tally.first_today,
            "first_of_season": tally.first_of_season,
            "first_ever": tally.first_ever,
        },
    }
