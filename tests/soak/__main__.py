"""The whole daemon for hours, with faults injected at random from a seed, and its books compared with the truth."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

import click

from tests.soak.clock import Clock
from tests.soak.faults import FAULTS, Stage, deck, fitting, reload
from tests.soak.keeper import ROOT, Keeper
from tests.soak.report import length, write
from tests.soak.trial import Disturbance, Trial, read_ledger
from tests.soak.truth import judge
from tests.soak.world import World

QUIET_SECONDS = 600.0
"""At the beginning and at the end there are no faults: the daemon starts, and delivers what waits."""
FIRST_SECONDS = 60.0
"""A daemon that dies before it has ever written its ledger has accounted for nothing yet."""
DRAIN_SECONDS = 3600.0


@click.command(context_settings={"max_content_width": 100})
@click.option("--hours", default=1.0, show_default=True, help="How long, as the daemon lives it.")
@click.option("--speed", default=1.0, show_default=True, help="So many times as fast as real time.")
@click.option(
    "--seed", default=1, show_default=True, help="The same seed makes the same faults and the same sound."
)
@click.option(
    "--fault-every",
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="One fault in so many seconds of its time.",
)
@click.option(
    "--model",
    type=click.Choice(["tiny", "birdnet"]),
    default="tiny",
    show_default=True,
    help="tiny knows two tones.",
)
@click.option("--microphone", is_flag=True, help="A real sound server's null sink, too; at real time only.")
@click.option(
    "--fault",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this fault; repeatable. All when left out; one that is none has them listed.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Write the report here, too.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Work here, and leave it; a temporary one when left out.",
)
def soak(
    *,
    hours: float,
    speed: float,
    seed: int,
    fault_every: float,
    model: str,
    microphone: bool,
    names: tuple[str, ...],
    report: Path | None,
    folder: Path | None,
) -> None:
    """Let the whole daemon live for hours, make faults, and see whether its books are true.

    It runs `birdwatchd run` on streams of known sound, with a real broker and its subscriber, a web server, clips, a
    program, and a small disk of its own (as root). Faster than real time, the daemon and its ffmpeg live by a clock of
    their own: both of its clocks and every wait run so many times as fast. Ctrl-C ends it early, with a report.

    \b
    Examples:
      scripts/soak                                       an hour at real time, a fault every five minutes
      scripts/soak --hours 24 --speed 12                 a day in two hours
      scripts/soak --hours 2 --model birdnet --microphone
      scripts/soak --hours 0.5 --speed 12 --fault-every 60 --fault "daemon killed" --fault "disk full"
    """
    unknown = set(names) - {fault.name for fault in FAULTS}
    if unknown:
        raise click.UsageError(
            f"there is no fault {min(unknown)!r}; there are: {', '.join(fault.name for fault in FAULTS)}"
        )
    if microphone and speed != 1:
        raise click.UsageError("a sound server has only real time: leave --microphone or --speed out")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        place.mkdir(parents=True, exist_ok=True)
        if (place / "clock").exists():
            raise click.UsageError(f"{place} holds an earlier soak; name another folder")
        place = place.resolve()
        if model == "tiny":
            from tests.tiny import build_tiny_bundle

            build_tiny_bundle(place / "tiny.pt")
        text, good = _soak(
            Clock(place, speed),
            place,
            stop,
            hours=hours,
            seed=seed,
            fault_every=fault_every,
            model=model,
            microphone=microphone,
            names=list(names),
        )
    click.echo(text)
    if report is not None:
        report.write_text(text, encoding="utf-8")
    sys.exit(0 if good else 1)


def _soak(
    clock: Clock,
    folder: Path,
    stop: threading.Event,
    *,
    hours: float,
    seed: int,
    fault_every: float,
    model: str,
    microphone: bool,
    names: list[str],
) -> tuple[str, bool]:
    random = Random(seed)
    disturbances: list[Disturbance] = []
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    with World(folder, clock, model=model, seed=seed, microphone=microphone) as world:
        with Keeper(folder, clock, world.environment) as keeper:
            keeper.wait_ready()
            began = clock.elapsed
            end = hours * 3600
            faults = fitting(world, names)
            cards = deck(faults, random)
            reloaded = -1
            due = max(min(QUIET_SECONDS, end / 10), began + FIRST_SECONDS)
            click.echo(
                f"{length(clock.elapsed)}  listening; faults: {', '.join(fault.name for fault in faults)}"
            )
            while due < end - min(QUIET_SECONDS, end / 10):
                while clock.elapsed < due and not stop.wait(0.05):
                    pass
                if stop.is_set():
                    break
                fault = next(cards)
                stage = Stage(world, keeper, random)
                if reloaded != len(keeper.lives):  # each run of the daemon reads its config again once
                    reloaded = len(keeper.lives)
                    reload(stage)
                before = read_ledger(world.database)
                start = clock.elapsed
                fault.make(stage)
                disturbances.append(Disturbance(fault.name, start, clock.elapsed, fault.deaf, before))
                _tell(world, keeper, disturbances)
                due = max(due + fault_every, clock.elapsed + 5)
            while clock.elapsed < end and not stop.wait(0.05):
                pass
            keeper.wait_ready()
            _drain(world)
            ended = clock.elapsed
        last = read_ledger(world.database)
        time.sleep(2)  # what the broker still has for its subscriber
        verdict = judge(Trial(world, keeper, disturbances, began, ended))
        if world.card.is_own:  # what may be looked at afterwards
            shutil.copy(world.database, folder)
        text = write(
            world=world,
            keeper=keeper,
            faults=faults,
            disturbances=disturbances,
            last=last,
            verdict=verdict,
            ended=ended,
            command=shlex.join(["scripts/soak", *sys.argv[1:]]),
            commit=commit,
        )
    return text, all(finding.holds for finding in verdict.findings)


def _tell(world: World, keeper: Keeper, disturbances: list[Disturbance]) -> None:
    one = disturbances[-1]
    vital = (
        f"{keeper.vitals[-1].memory / 1e6:.0f} MB, {keeper.vitals[-1].files} descriptors"
        if keeper.vitals
        else ""
    )
    click.echo(
        f"{length(one.start)}  {len(disturbances):4}  {one.name}, {one.end - one.start:.0f} s; run {len(keeper.lives) + 1}, "
        f"{len(world.subscriber.heard)} messages, {vital}"
    )


def _drain(world: World) -> None:
    """Until nothing waits any more, or for so long that something is wrong."""
    import sqlite3

    until = world.clock.elapsed + DRAIN_SECONDS
    while world.clock.elapsed < until:
        with sqlite3.connect(f"file:{world.database}?mode=ro", uri=True, timeout=30) as connection:
            (waiting,) = connection.execute(
                "SELECT count(*) FROM deliveries WHERE status = 'waiting'"
            ).fetchone()
        connection.close()
        if not waiting:
            return
        time.sleep(1)


if __name__ == "__main__":
    soak(prog_name="scripts/soak")
