"""What is told at the end, as Markdown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.faults import Fault
    from tests.soak.keeper import Keeper, Vital
    from tests.soak.trial import Disturbance, Ledger, Verdict
    from tests.soak.world import World

WARM_UP_SECONDS = 600.0
"""Of each life: until then caches fill."""
SETTLED_SECONDS = 3600.0
"""By then they are full."""
COLUMNS = 60
BARS = " ▁▂▃▄▅▆▇█"


def length(seconds: float) -> str:
    """Such as 3:04:05."""
    whole = round(abs(seconds))
    text = (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
        if whole >= 3600
        else f"{whole // 60}:{whole % 60:02}"
    )
    return ("-" if seconds < 0 and whole else "") + text


def slope(vitals: Sequence[Vital], name: str, after: float) -> tuple[float, float] | None:
    """Units per hour, and its standard error: one line through all lives, each with a height of its own.

    Of each life what comes `after` so many seconds.
    """
    x_all, y_all = [], []
    lives: dict[int, list[Vital]] = {}
    for vital in vitals:
        if vital.age > after:
            lives.setdefault(vital.life, []).append(vital)
    for life in lives.values():
        if len(life) >= 3:
            x = np.array([vital.at for vital in life]) / 3600
            y = np.array([getattr(vital, name) for vital in life], dtype=float)
            x_all.append(x - x.mean())
            y_all.append(y - y.mean())
    if not x_all:
        return None
    x, y = np.concatenate(x_all), np.concatenate(y_all)
    if not (x @ x):
        return None
    value = float(x @ y / (x @ x))
    rest = y - value * x
    freedom = max(1, len(x) - len(x_all) - 1)
    return value, float(np.sqrt(rest @ rest / freedom / (x @ x)))


def plot(vitals: Sequence[Vital], ended: float) -> str:
    """The memory over the time, one character a slice, in MB above and below."""
    slices: list[list[float]] = [[] for _ in range(COLUMNS)]
    for vital in vitals:
        slices[min(COLUMNS - 1, int(vital.at / ended * COLUMNS))].append(vital.memory / 1e6)
    values = [max(one) if one else None for one in slices]
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = 0.0, max(known) * 1.05
    line = "".join(
        " " if value is None else BARS[round((value - low) / (high - low) * 8)] for value in values
    )
    return f"{max(known):5.0f} MB at most\n{line}\n0 h{' ' * (COLUMNS - 9)}{ended / 3600:4.1f} h"


@dataclass(frozen=True)
class Felt:
    """A fault, and all that happened until the next one came."""

    fault: Disturbance
    ledger: Ledger
    """What was added to it."""
    late: float
    """Seconds until the last of the durable deliveries that were made meanwhile was done."""


def _seconds(felt: Felt, wanted: str, *but: str) -> float:
    return sum(
        seconds for (_, kind, cause), seconds in felt.ledger.items() if kind == wanted and cause not in but
    )


def _each(fault: Fault, felt: list[Felt]) -> str:
    mine = [one for one in felt if one.fault.name == fault.name]
    if not mine:
        return ""
    lost = [_seconds(one, "lost") for one in mine]
    off = [_seconds(one, "off") for one in mine]
    skipped = [_seconds(one, "skipped", "remainder", "silence") for one in mine]
    causes: Counter[str] = Counter()
    for one in mine:
        for (_, kind, cause), seconds in one.ledger.items():
            if kind in ("lost", "off") and seconds > 0.5:
                causes[cause] += 1
    told = ", ".join(cause for cause, _ in causes.most_common(4)) or "-"

    def cell(values: list[float]) -> str:
        return "0" if max(values) < 0.5 else f"{median(values):.0f} (at most {max(values):.0f})"

    late = (
        "-" if fault.name.startswith("clock") else cell([one.late for one in mine])
    )  # dated by a wrong clock
    cells = [cell(lost), cell(off), cell(skipped), late]
    return f"| {fault.name} | {fault.says} | {len(mine)} | {' | '.join(cells)} | {told} |"


def write(
    *,
    world: World,
    keeper: Keeper,
    faults: Sequence[Fault],
    disturbances: list[Disturbance],
    last: Ledger,
    verdict: Verdict,
    ended: float,
    command: str,
    commit: str,
) -> str:
    """All of it."""
    clock = world.clock
    books = [one.before for one in disturbances] + [last]
    until = [*(one.start for one in disturbances[1:]), ended]
    felt = [
        Felt(
            one,
            {key: after.get(key, 0.0) - before.get(key, 0.0) for key in after},
            max((late for made, late in verdict.delays if one.start <= made < end), default=0.0),
        )
        for one, (before, after), end in zip(disturbances, pairwise(books), until, strict=True)
    ]
    good = all(finding.holds for finding in verdict.findings)
    lines = [
        (
            f"`{command}`, at commit {commit}: {ended / 3600:.1f} hours as the daemon lived them, "
            f"{'at real time' if clock.speed == 1 else f'{clock.speed:g} times as fast as real time'}, model {world.model}, sources "
            f"{', '.join(world.sources)}; {len(disturbances)} faults, {len(keeper.lives)} runs of the daemon. "
            f"**{'All of it holds.' if good else 'Not all of it holds.'}**"
        ),
        "",
        "| what has to be true | | what was found |",
        "| --- | --- | --- |",
        *(f"| {one.claim} | {'yes' if one.holds else '**NO**'} | {one.told} |" for one in verdict.findings),
        "",
        "Where the seconds of each source went, in hours, minutes and seconds:",
        "",
        "| source | time | sent | captured | analysed | skipped | lost | not running |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for source, sums in verdict.balance.items():
        cells = [
            length(sums.get(kind, 0.0)) for kind in ("sent", "captured", "analysed", "skipped", "lost", "off")
        ]
        total = sums.get("expected", 0.0) + sums.get("off", 0.0)
        lines.append(f"| {source} | {length(total)} | {' | '.join(cells)} |")
    lines += ["", "What became of the deliveries:", "", "| action | |", "| --- | --- |"]
    for action, counts in sorted(verdict.deliveries.items()):
        lines.append(
            f"| {action} | {'; '.join(f'{count} {status}' for status, count in counts.most_common(6))} |"
        )
    lines += [
        "",
        "What each fault did until the next one came, in seconds, all sources together, at the median. *Late* is how long the",
        "slowest message to the broker or the web server took, from the commit of its detection on:",
        "",
        "| fault | how it is made | times | lost | not running | too slow | late | causes in the ledger |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *filter(None, (_each(fault, felt) for fault in faults)),
        "",
        "The process, ten minutes after each start and later; the slopes are one line through all runs, each with its own",
        "height, from ten minutes and from an hour after its start on:",
        "",
        "| | smallest | largest | slope per hour | after an hour |",
        "| --- | --- | --- | --- | --- |",
    ]
    settled = [vital for vital in keeper.vitals if vital.age > WARM_UP_SECONDS] or keeper.vitals
    for name, title, unit in (
        ("memory", "memory of its own (RssAnon), MB", 1e6),
        ("files", "descriptors", 1),
        ("threads", "threads", 1),
        ("children", "child processes", 1),
    ):
        values = [getattr(vital, name) / unit for vital in settled]
        slopes = [slope(keeper.vitals, name, after) for after in (WARM_UP_SECONDS, SETTLED_SECONDS)]
        told = ["-" if one is None else f"{one[0] / unit:+.2f} ± {one[1] / unit:.2f}" for one in slopes]
        if values:
            lines.append(f"| {title} | {min(values):.0f} | {max(values):.0f} | {' | '.join(told)} |")
    ends = Counter(how for _, _, how in keeper.lives)
    lines += [
        "",
        (
            f"The runs ended by {', '.join(f'{how} ({count})' for how, count in ends.most_common())}; "
            f"the watchdog had to act {keeper.watchdog_bites} times."
        ),
        "",
        "```text",
        plot(keeper.vitals, ended),
        "```",
    ]
    return "\n".join(lines) + "\n"
