"""Pictures of every page: see scripts/pictures, which runs this."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import chorus
import numpy as np

from birdwatchd.domain import Detection, Label, LedgerEntry, detection_id
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
WIDTHS = {"phone": (390, 844), "desk": (1280, 800)}
PAGES = {
    "now": "/",
    "today": "/today",
    "yesterday": "/day/{yesterday}",
    "season": "/season",
    "species": "/species/Parus%20major",
    "detection": "/detection/{detection}",
    "review": "/review",
    "figures": "/figures?judged=all",
    "why": "/why?at={heard}",
    "sources": "/sources",
    "settings": "/settings",
    "api": "/api",
    "trouble": "/nothing-is-here",
}
DOCS = {
    ("now", "desk", "light"): 760,
    ("today", "desk", "light"): 1000,
    ("today", "phone", "light"): 844,
    ("season", "desk", "dark"): 900,
    ("detection", "desk", "light"): 1000,
    ("detection", "phone", "dark"): 844,
    ("review", "desk", "dark"): 860,
}
"""Those of the README and docs/web.md, and how high each is."""
LISTEN_SECONDS = 45
DAYS = 370
SEED = 7
NEAR = 0.8
"""Share of what is heard that the first source hears."""
# Scientific name, common name, detections on a day in its season, first and last month, hours of the day it sings at.
BIRDS = (
    ("Parus major", "Great Tit", 24, 1, 12, (5, 18)),
    ("Turdus merula", "Eurasian Blackbird", 30, 2, 8, (4, 21)),
    ("Cyanistes caeruleus", "Eurasian Blue Tit", 16, 1, 12, (6, 17)),
    ("Erithacus rubecula", "European Robin", 14, 1, 12, (5, 20)),
    ("Fringilla coelebs", "Common Chaffinch", 18, 3, 7, (5, 18)),
    ("Phylloscopus collybita", "Common Chiffchaff", 15, 3, 9, (5, 17)),
    ("Sylvia atricapilla", "Eurasian Blackcap", 13, 4, 8, (5, 15)),
    ("Passer domesticus", "House Sparrow", 10, 1, 12, (7, 19)),
    ("Corvus corone", "Carrion Crow", 6, 1, 12, (6, 18)),
    ("Columba palumbus", "Common Wood-Pigeon", 9, 2, 10, (6, 19)),
    ("Strix aluco", "Tawny Owl", 5, 9, 12, (19, 28)),
    ("Apus apus", "Common Swift", 12, 5, 7, (8, 22)),
    ("Phoenicurus phoenicurus", "Common Redstart", 7, 4, 7, (4, 12)),
    ("Dendrocopos major", "Great Spotted Woodpecker", 4, 1, 12, (7, 17)),
    ("Troglodytes troglodytes", "Eurasian Wren", 8, 1, 12, (6, 17)),
    ("Luscinia megarhynchos", "Common Nightingale", 9, 4, 6, (22, 29)),
    ("Cuculus canorus", "Common Cuckoo", 3, 5, 6, (5, 12)),
    ("Garrulus glandarius", "Eurasian Jay", 2, 1, 12, (8, 17)),
    ("Accipiter nisus", "Eurasian Sparrowhawk", 0.1, 1, 12, (9, 16)),
    ("Upupa epops", "Eurasian Hoopoe", 0.03, 4, 6, (8, 14)),
)
CONFIG = """\
# Written by scripts/pictures.
node: orchard
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
deciding:
  include: [Black-capped Chickadee, Common Cuckoo]
sources:
  - {{name: garden, kind: recording, path: chorus.wav, start: now}}
  - {{name: pond, kind: recording, path: pond.wav, start: now}}
actions:
  - {{name: keep, kind: save_clip}}
  - {{name: tell-home, kind: mqtt, host: 127.0.0.1, port: 1, username: station, password: not-to-be-shown}}
store: {{database: birdwatchd.sqlite, clips_folder: clips}}
web: {{port: {port}}}
"""


def main() -> None:
    """Listen for a while, and look at it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)}; all when left out")
    parser.add_argument("--docs", action="store_true", help="make those of docs/images anew")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="where they go: pictures")
    asked = parser.parse_args()
    asked.out.mkdir(exist_ok=True)
    folder = asked.out / "station"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_sound(folder)
    write_past(folder / "birdwatchd.sqlite")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config.yaml").write_text(CONFIG.format(port=port))
    with (folder / "log.txt").open("w") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "birdwatchd", "run", "-c", str(folder / "config.yaml")],
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/static/style.css", daemon)
        print(f"listening for {LISTEN_SECONDS} s", flush=True)
        time.sleep(LISTEN_SECONDS)
        look(f"http://127.0.0.1:{port}", folder, asked.out, asked.pages or list(PAGES), docs=asked.docs)
    finally:
        daemon.terminate()
        daemon.wait()


def write_sound(folder: Path) -> None:
    """Twenty minutes of the chorus; at the pond half a minute later."""
    subprocess.run([sys.executable, chorus.__file__, str(folder)], check=True, stdout=subprocess.DEVNULL)
    with wave.open(str(folder / "chorus.wav")) as once:
        parameters, sound = once.getparams(), once.readframes(once.getnframes())
    half = len(sound) // 4 * 2
    for name, minute in (("chorus", sound), ("pond", sound[half:] + sound[:half])):
        with wave.open(str(folder / f"{name}.wav"), "wb") as often:
            often.setparams(parameters)
            often.writeframes(minute * 20)


def write_past(path: Path) -> None:
    """A year that was made up, up to this hour."""
    rng = np.random.default_rng(SEED)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with Database.open(path) as database:
        recorder = Recorder(database, run_id="past", version="1", model="BirdNET-2.4", node="orchard")
        for back in range(DAYS, -1, -1):
            day = (now - timedelta(days=back)).replace(hour=0)
            recorder.record(*(one for one in birds_of(day, rng) if one.end < now))
            recorder.account([entry for entry in ledger_of(day, rng) if entry.hour < now])
        recorder.close()


def birds_of(day: datetime, rng: np.random.Generator) -> Iterator[Detection]:
    """What was heard on a day."""
    for index, (scientific, common, often, first, last, hours) in enumerate(BIRDS):
        if not first <= day.month <= last:
            continue
        for _ in range(rng.poisson(often)):
            hour = rng.triangular(hours[0], hours[0] + 1.5, hours[1])
            start = day + timedelta(hours=float(hour) - 1)
            end = start + timedelta(seconds=float(rng.choice([6, 7.5, 9, 12, 16.5])))
            label = Label(index, scientific, common)
            yield Detection(
                id=detection_id("garden", scientific, start, "BirdNET-2.4"),
                run_id="past",
                source="garden" if rng.random() < NEAR else "pond",
                site="orchard",
                label=label,
                start_sample=round(start.timestamp()),
                end_sample=round(end.timestamp()),
                start=start,
                end=end,
                score=round(float(0.7 + 0.299 * rng.beta(2, 1.5)), 3),
                windows=3,
                model="BirdNET-2.4",
                threshold=0.7,
                occurrence=round(float(rng.uniform(0.05, 0.9)), 3),
                processing_ns=30_000_000,
                clip_path="",
                voice=False,
                state="ended",
            )


def ledger_of(day: datetime, rng: np.random.Generator) -> Iterator[LedgerEntry]:
    """When it listened, and when not."""
    for hour in range(24):
        at = day + timedelta(hours=hour)
        for source in ("garden", "pond"):
            lost = (
                float(rng.uniform(200, 3600))
                if rng.random() < (0.01 if source == "garden" else 0.05)
                else 0.0
            )
            yield LedgerEntry(source, at, "expected", "", 3600.0)
            yield LedgerEntry(source, at, "captured", "", 3600.0 - lost)
            yield LedgerEntry(source, at, "analysed", "", 3600.0 - lost)
            if lost:
                yield LedgerEntry(
                    source, at, "lost", "stream away" if source == "pond" else "unplugged", lost
                )


def wait_for(url: str, daemon: subprocess.Popen[bytes]) -> None:
    """Until it answers."""
    for _ in range(600):
        if daemon.poll() is not None:
            sys.exit("pictures: the daemon ended; see log.txt beside the station's config.yaml")
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
        except OSError:
            time.sleep(0.2)
        else:
            return
    sys.exit("pictures: the page does not answer")


def look(url: str, folder: Path, out: Path, pages: list[str], *, docs: bool) -> None:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    with Database.open(folder / "birdwatchd.sqlite", read_only=True) as database:
        rows = database.rows(
            "SELECT id, start_utc FROM detections WHERE run_id != 'past' AND state = 'ended' ORDER BY score DESC LIMIT 1"
        )
    words = {
        "yesterday": (datetime.now(UTC) - timedelta(days=1)).date().isoformat(),
        "detection": rows[0]["id"] if rows else "none",
        "heard": rows[0]["start_utc"] if rows else "now",
    }
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (width, height) in WIDTHS.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
                )
                page = context.new_page()
                page.on(
                    "console", lambda line: print("  console:", line.text) if line.type == "error" else None
                )
                for which in pages:
                    page.goto(url + PAGES[which].format(**words))
                    page.wait_for_timeout(15_000 if which == "now" else 700)
                    file = out / f"{which}-{name}-{scheme}.png"
                    page.screenshot(path=file, full_page=True)
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    print(file, "" if wide <= width else f"IS {wide - width} PIXELS TOO WIDE", flush=True)
                    if docs and (which, name, scheme) in DOCS:
                        page.set_viewport_size({"width": width, "height": DOCS[which, name, scheme]})
                        page.wait_for_timeout(500)
                        keep(page.screenshot(), ROOT / "docs/images" / f"page-{which}-{name}.webp")
                        page.set_viewport_size({"width": width, "height": height})
                context.close()
        browser.close()


def keep(png: bytes, file: Path) -> None:
    """A small file of it."""
    from io import BytesIO

    from PIL import Image

    Image.open(BytesIO(png)).convert("RGB").save(file, quality=80, method=6)


if __name__ == "__main__":
    main()
