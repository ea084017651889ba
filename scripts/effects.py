"""Look after everything that the demo's detections set off: was it really done, and what came of it?

    birdwatchd deliveries -c demo/config.yaml --json | python scripts/effects.py demo

Exit status 1 when something is missing: a message that the subscriber did not get, a clip that is not there, a picture
that is none.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.text import Text

ARRIVAL_SECONDS = 5.0
"""How long a message may be on its way to the subscriber."""
SHOWN = ("CommonName", "ScientificName", "Confidence", "BeginTime", "ClipName", "sourceName", "state")
SUNG = (64, 304, 1064, 424)
"""Of a spectrogram: the pixels up to 5 kHz, where these birds sing."""
COLUMNS, ROWS = 100, 10


@dataclass(frozen=True)
class Outcome:
    """What came of one delivery, in a few words."""

    is_right: bool
    words: str


class Effects:
    """All deliveries of a run, and the traces that they left."""

    def __init__(self, folder: Path, deliveries: list[dict[str, Any]]) -> None:
        self.clips = folder / "clips"
        self._log = folder / "mqtt.jsonl"
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        self.actions = {action["name"]: action for action in config["actions"]}
        self._deliveries = {(one["detection"]["id"], one["action"]): one for one in deliveries}
        self.detections = {one["detection"]["id"]: one["detection"] for one in deliveries}

    def outcome(self, detection: str, action: str) -> Outcome | None:
        """What came of it; None when this detection was not to set off this action."""
        delivery = self._deliveries.get((detection, action))
        if delivery is None:
            return None if "when" in self.actions[action] else Outcome(is_right=False, words="missing")
        if delivery["status"] != "done":
            return Outcome(is_right=False, words=f"{delivery['status']} {delivery['error']}".strip())
        looks = {"mqtt": self._message_of, "save_clip": self._clip_of, "camera": self._picture_of}
        return looks[self.actions[action]["kind"]](delivery)

    def message(self, detection: str) -> dict[str, Any] | None:
        """The message of a detection, as the subscriber got it. It is waited for."""
        until = time.monotonic() + ARRIVAL_SECONDS
        while True:
            for line in self._log.read_text(encoding="utf-8").split("\n")[:-1]:
                message: dict[str, Any] = json.loads(line)
                if "/source/" in message["topic"]:
                    message["payload"] = json.loads(message["payload"])
                    if message["payload"]["id"] == detection:
                        return message
            if time.monotonic() > until:
                return None
            time.sleep(0.1)

    def files(self, detection: str) -> list[Path]:
        """The files of a detection."""
        stem = self.clips / self.detections[detection]["clip_path"]
        return sorted(stem.parent.glob(f"{stem.name}*"))

    def _message_of(self, delivery: dict[str, Any]) -> Outcome:
        message = self.message(delivery["detection"]["id"])
        if message is None:
            return Outcome(is_right=False, words="no subscriber got it")
        took = datetime.fromisoformat(message["received"]) - datetime.fromisoformat(delivery["created"])
        return Outcome(is_right=True, words=f"in {max(1, round(took.total_seconds() * 1000))} ms")

    def _clip_of(self, delivery: dict[str, Any]) -> Outcome:
        import soundfile

        if not delivery["notes"].get("kept"):
            return Outcome(is_right=False, words=f"not kept: {delivery['notes'].get('why')}")
        sound = self.clips / delivery["notes"]["file"]
        if not all(sound.with_suffix(suffix).is_file() for suffix in (".flac", ".json", ".png")):
            return Outcome(is_right=False, words="not there")
        return Outcome(is_right=True, words=f"{soundfile.info(sound).duration:g} s")

    def _picture_of(self, delivery: dict[str, Any]) -> Outcome:
        from PIL import Image

        try:
            with Image.open(self.clips / delivery["notes"]["file"]) as image:
                image.load()
        except OSError as error:
            return Outcome(is_right=False, words=f"no picture: {error}")
        return Outcome(is_right=True, words=f"{image.width} x {image.height}")


def show(effects: Effects, console: Console) -> bool:
    """Print what came of each. False when something is missing."""
    from rich.table import Table

    headings = {"mqtt": "Message", "save_clip": "Clip", "camera": "Picture"}
    table = Table("Species", box=None, header_style="bold", pad_edge=False)
    for action in effects.actions.values():
        table.add_column(headings[action["kind"]])
    all_right, seen = bool(effects.detections), set()
    for detection, record in effects.detections.items():
        cells = []
        for name in effects.actions:
            outcome = effects.outcome(detection, name)
            if outcome is None:
                cells.append("")
                continue
            seen.add(name)
            all_right = all_right and outcome.is_right
            mark = "[green]✓[/]" if outcome.is_right else "[red]✗[/]"
            cells.append(f"{mark} {outcome.words}")
        table.add_row(record["common_name"], *cells)
    console.print(table)
    for name in effects.actions.keys() - seen:
        console.print(f"[red]Nothing set off {name}.[/]")
        all_right = False
    return all_right


def show_one(effects: Effects, detection: str, console: Console) -> None:
    """The message, the sound and the files of one detection."""
    from rich.json import JSON

    message = effects.message(detection)
    if message is not None:
        console.print(f"\nA subscriber got, at [cyan]{message['topic']}[/], this and more:")
        console.print(JSON.from_data({name: message["payload"][name] for name in SHOWN}, indent=2))
    files = effects.files(detection)
    drawing = next((file for file in files if file.suffix == ".png"), None)
    if drawing is not None and console.color_system in {"256", "truecolor"}:
        console.print("\nHow it sounded up to 5 kHz, the detection between the green lines:")
        for line in in_blocks(drawing, min(COLUMNS, console.width)):
            console.print(line)
    console.print("\nIts files:")
    for file in files:
        console.print(f"  {file}", soft_wrap=True)


def in_blocks(drawing: Path, columns: int) -> Iterator[Text]:
    """The spectrogram in coloured half blocks, two pixels a letter."""
    from PIL import Image, ImageFilter, ImageOps
    from rich.text import Text

    with Image.open(drawing) as image:
        # Notes are thin: what is brightest nearby is what remains when it becomes small.
        sung = image.convert("RGB").crop(SUNG).filter(ImageFilter.MaxFilter(5))
    small = ImageOps.posterize(sung.resize((columns, 2 * ROWS), Image.Resampling.BOX), 4)
    pixels = small.tobytes()
    colours = [f"#{pixels[at : at + 3].hex()}" for at in range(0, len(pixels), 3)]
    for first in range(0, len(colours), 2 * columns):
        uppers, lowers = colours[first : first + columns], colours[first + columns : first + 2 * columns]
        line = Text()
        for (upper, lower), run in groupby(zip(uppers, lowers, strict=True)):
            line.append("▀" * len(list(run)), f"{upper} on {lower}")
        yield line


def main() -> int:
    """Look after the deliveries on standard input."""
    from rich.console import Console

    effects = Effects(Path(sys.argv[1]), json.load(sys.stdin))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    all_right = show(effects, console)
    best = max(effects.detections, key=lambda one: len(effects.files(one)), default=None)
    if best is not None:
        show_one(effects, best, console)
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
