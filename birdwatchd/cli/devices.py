"""`birdwatchd devices`: what this machine can record from, and how loud it is."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.screen import open_screen
from birdwatchd.errors import DeviceError, DeviceStuck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from birdwatchd.audio.inputs import Input
    from birdwatchd.audio.meter import Meter
    from birdwatchd.audio.portaudio import PortAudio

_TICK_SECONDS = 0.1
_QUIETEST_DBFS = -90.0
_METER_WIDTH = 20
_WATCH_SECONDS = 5.0
_MEASURE_SECONDS = 1.0


@click.command(short_help="Sound inputs, their rates, and how loud they are.")
@click.argument("device", required=False)
@click.option("--levels", is_flag=True, help="Measure levels even where they cannot be watched.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.2),
    metavar="N",
    help=f"Watch the levels so long. [default: {_WATCH_SECONDS:g} on a terminal, else {_MEASURE_SECONDS:g}]",
)
@click.option("--watch", is_flag=True, help="Watch the levels until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def devices(device: str | None, *, levels: bool, seconds: float | None, watch: bool, as_json: bool) -> None:
    """What this machine can record from; with DEVICE (index, part of the name, USB id) that one alone.

    On a terminal the levels move for a few seconds: speak, and see which microphone hears you. The lines for the
    config come last.

    \b
    Examples:
      birdwatchd devices
      birdwatchd devices --watch
      birdwatchd devices usb:046d:0825 --levels
      birdwatchd devices --json | jq '.[].name'
    """
    from birdwatchd.audio.portaudio import portaudio

    owner = portaudio()
    try:
        inputs = owner.inputs()
        if as_json and not inputs:
            click.echo("[]")
            return
        chosen = _chosen(inputs, device)
        rates = {one.index: _rates(owner, one) for one in chosen}
        screen = open_screen()
        moving = screen.is_terminal and not as_json
        with contextlib.ExitStack() as stack:
            meters = []
            if levels or watch or seconds or moving:
                from birdwatchd.audio.meter import Meter

                meters = [stack.enter_context(Meter(owner, one)) for one in chosen]
            if moving:
                _show(chosen, rates, meters, math.inf if watch else seconds or _WATCH_SECONDS)
            else:
                measured = _measure(meters, seconds or _MEASURE_SECONDS)
                if as_json:
                    click.echo(json.dumps([_record(one, rates, measured) for one in chosen], indent=2))
                    return
                screen.print(_table(chosen, rates, measured, {m.device.index: m.problem for m in meters}))
    except DeviceStuck as stuck:
        raise DeviceError(f"{stuck}: restart the sound server, then try again") from stuck
    favourite = next((one for one in chosen if one.is_default), chosen[0])
    screen.print(
        f"\nFor {favourite.name!r} the config says:\n\n{_config_lines(inputs, favourite)}", soft_wrap=True
    )


def _chosen(inputs: Sequence[Input], device: str | None) -> list[Input]:
    from birdwatchd.audio.inputs import NO_INPUT, find_input

    if not inputs:
        raise DeviceError(NO_INPUT)
    if device is None:
        return list(inputs)
    return [find_input(inputs, int(device) if device.isdecimal() else device)]


def _rates(owner: PortAudio, device: Input) -> list[int] | str:
    """The rates in Hz, or why they are not known."""
    from birdwatchd.audio.inputs import RATES

    try:
        return owner.rates(device, RATES)
    except DeviceError as error:
        return "busy" if "busy" in str(error) else "cannot be opened"


def _measure(meters: Sequence[Meter], seconds: float) -> dict[int, float | None]:
    if meters:
        time.sleep(seconds)
    return {meter.device.index: meter.level_dbfs() for meter in meters}


def _show(
    chosen: Sequence[Input], rates: dict[int, list[int] | str], meters: Sequence[Meter], seconds: float
) -> None:
    """The table, with levels that move."""
    from rich.live import Live

    problems = {meter.device.index: meter.problem for meter in meters}
    latest: dict[int, float | None] = {}
    until = time.monotonic() + seconds
    # Ctrl-C is how one stops watching.
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(_table(chosen, rates, latest, problems), console=open_screen(), auto_refresh=False) as live,
    ):
        while time.monotonic() < until:
            time.sleep(_TICK_SECONDS)
            for meter in meters:
                level = meter.level_dbfs()
                if level is not None:
                    latest[meter.device.index] = level
            live.update(_table(chosen, rates, latest, problems), refresh=True)


def _table(
    chosen: Sequence[Input],
    rates: dict[int, list[int] | str],
    levels: dict[int, float | None],
    problems: dict[int, str],
) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for heading in ("", "input", "USB id", "channels", "Hz", "records at, kHz"):
        table.add_column(heading, overflow="fold")
    if levels or problems:
        table.add_column("level, dBFS", no_wrap=True)
    for one in chosen:
        cells = [
            str(one.index),
            one.name + (" (default)" if one.is_default else ""),
            one.usb,
            str(one.channels),
            str(one.default_rate),
            _show_rates(one, rates[one.index]),
        ]
        if levels or problems:
            cells.append("cannot be opened" if problems.get(one.index) else _bar(levels.get(one.index)))
        table.add_row(*cells)
    return table


def _show_rates(device: Input, rates: list[int] | str) -> str:
    from birdwatchd.audio.inputs import RATES

    if isinstance(rates, str):
        return rates
    if len(rates) == len(RATES) and not device.is_card:
        return "any"
    return " ".join(f"{rate / 1000:g}" for rate in rates)


def _bar(level: float | None) -> str:
    """The level as a number and as a bar."""
    if level is None:
        return "no sound arrives"
    full = 1 - min(1.0, max(0.0, level / _QUIETEST_DBFS))
    blocks = round(full * _METER_WIDTH)
    number = "silence" if level == -math.inf else f"{level:.1f}"
    return f"{number:>7} {'█' * blocks}{'░' * (_METER_WIDTH - blocks)}"


def _record(
    device: Input, rates: dict[int, list[int] | str], levels: dict[int, float | None]
) -> dict[str, object]:
    """One row for programs: silence is no number in JSON, so it is null, like a level that is not known."""
    known = rates[device.index]
    level = levels.get(device.index)
    return {
        "index": device.index,
        "name": device.name,
        "usb": device.usb or None,
        "channels": device.channels,
        "default_rate": device.default_rate,
        "rates": known if isinstance(known, list) else None,
        "default": device.is_default,
        **({"level_dbfs": level if level is not None and math.isfinite(level) else None} if levels else {}),
    }


def _config_lines(inputs: Sequence[Input], device: Input) -> str:
    """A source that means this device, also when the cards are numbered anew."""
    from birdwatchd.audio.inputs import find_input

    lines = ["sources:", "  - name: microphone", "    kind: microphone"]
    names = [f"usb:{device.usb}"] if device.usb else []
    names += [device.name.partition(" (hw:")[0], device.name]
    for name in names:
        with contextlib.suppress(DeviceError):
            if find_input(inputs, name) == device:
                return "\n".join([*lines, f"    device: {json.dumps(name, ensure_ascii=False)}"])
    return "\n".join([*lines, f"    device: {device.index}"])
