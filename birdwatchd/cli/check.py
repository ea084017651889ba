"""`birdwatchd check`: is the config right, and what would `run` do with it?"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.station import config_option
from birdwatchd.cli.told_secrets import told_secrets
from birdwatchd.config.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.config.load import Loaded
    from birdwatchd.config.schema import Location, Source, Store, Web
    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.model.bundle import Card


@click.command()
@config_option
@click.option(
    "--schema", "shows", flag_value="schema", help="Print the JSON schema of the config, for editors."
)
@click.option("--reference", "shows", flag_value="reference", help="Print every setting, in Markdown.")
@click.option(
    "--live", is_flag=True, help="Also try microphones, model, disk, clock, broker, cameras and the rest."
)
def check(path: Path | None, shows: str | None, *, live: bool) -> None:
    """Check the config, and say what it asks for.

    Every mistake is told with its line and what to do; the exit status is 2 then. Nothing is started or written, unless
    with --live: then everything that the daemon needs is used for a moment, as the user who asks. Brokers and servers are
    connected to and told nothing; a camera takes a picture, which is thrown away. The exit status is 1 when something
    would not work.

    \b
    Examples:
      birdwatchd check                    the config that `birdwatchd run` would take
      birdwatchd check -c garden.yaml     this one
      birdwatchd check --live             and does everything in it work, here and now?
      birdwatchd check --schema > birdwatchd.schema.json
    """
    if shows is not None:
        from birdwatchd.config import reference
        from birdwatchd.dispatch.plugins import schemas

        page = reference.json_schema(schemas()) if shows == "schema" else reference.reference()
        click.echo(page, nl=False)
        return
    from birdwatchd.config.load import find_config, load
    from birdwatchd.dispatch.plugins import schemas

    loaded = load(path or find_config(), actions=schemas())
    card, warning = _card(loaded)
    if card is not None:
        loaded.refuse_unfit(card.input_seconds, card.labels)
    click.echo(f"{loaded.path} is right\n")
    for name, value in _summary(loaded, card):
        click.echo(f"  {name:<10} {plain(value)}")
    warnings = [*filter(None, [warning]), *_warnings(loaded, card)]
    if warnings:
        click.echo()
    for warning in warnings:
        click.echo(f"  warning: {plain(warning)}")
    if live and not _try_all(loaded):
        sys.exit(1)


def _try_all(loaded: Loaded) -> bool:
    """Show what comes of each trial; whether everything would work."""
    from rich.text import Text

    from birdwatchd.cli import check_live
    from birdwatchd.cli.screen import open_screen

    check_live.quiet()
    screen = open_screen()
    marks = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("WRONG", "bold red")}
    click.echo()
    wrong = 0
    for trial in check_live.trials(loaded):
        with screen.status(f"trying {trial.what} …"):
            found = list(trial.find())
        for one in found:
            wrong += one.verdict == "wrong"
            line = Text.assemble(
                "  ",
                (f"{marks[one.verdict][0]:<6}", marks[one.verdict][1]),
                f"{one.what}: {plain(one.words)}",
            )
            screen.print(line, soft_wrap=True)
    click.echo()
    click.echo(f"{wrong} of these would not work" if wrong else "everything works")
    return not wrong


def _card(loaded: Loaded) -> tuple[Card | None, str]:
    """The card of the model that is asked for; where it is still to be built, a warning that says how.

    Raises:
        ConfigError: a model that the user named is not there.
        BundleError: the file is there, and no bundle.
    """
    from birdwatchd.config.rules import Objection
    from birdwatchd.errors import BundleError
    from birdwatchd.model.bundle import read_card
    from birdwatchd.model.catalog import find

    model = loaded.config.model
    try:
        bundle = find(model.bundle, model.sha256)
    except BundleError as error:
        setting = "bundle" if model.sha256 is None else "sha256"
        if model.bundle != "birdnet" or model.sha256 is not None:
            loaded.refuse([Objection(("model", setting), str(error))])
        return None, str(error)
    return read_card(bundle, loaded.config.language), ""


def _summary(loaded: Loaded, card: Card | None) -> Iterator[tuple[str, str]]:
    config = loaded.config
    deciding = config.deciding
    yield "station", config.node
    for index, source in enumerate(config.sources):
        yield ("sources" if index == 0 else ""), _source(loaded, index, source)
    if config.listening:
        yield "listening", " and ".join(config.listening)
    if card is None:
        yield "model", f"{config.model.bundle}, not there yet"
    else:
        taken = f"{card.input_seconds:g} s at {card.sample_rate} Hz"
        yield "model", f"{card.name} {card.version}: {len(card.labels)} labels, {taken} ({card.licence})"
    yield "windows", f"{config.window_seconds:g} s, one every {config.hop_seconds:g} s"
    own = f", {len(deciding.thresholds)} species with their own" if deciding.thresholds else ""
    cards = len(card.thresholds) if card is not None and deciding.use_card_thresholds else 0
    of_card = f", {cards} from the model's card" if cards else ""
    yield "threshold", f"{deciding.threshold:g} in {deciding.min_hits} segments{own}{of_card}"
    yield "range", _range(loaded)
    yield (
        "voices",
        {"drop": "detections beside them are dropped", "no_audio": "no audio is kept", "off": "kept"}[
            deciding.voice.mode
        ],
    )
    for index, action in enumerate(config.actions):
        yield ("actions" if index == 0 else ""), _action(action)
    yield "database", f"{config.store.database} ({_database_state(config.store.database)})"
    if config.web is not None:
        yield "page", _page(config.web)


def _source(loaded: Loaded, index: int, source: Source) -> str:
    from birdwatchd.config.address import shown

    if source.kind == "microphone":
        what = "the default microphone" if source.device is None else f"microphone {source.device}"
    elif source.kind == "recording":
        what = f"recording {source.path}"
    else:
        # As it stands in the file, so that `${NAME}` stays one, and without a password that stands there itself.
        _, part = loaded.document.find(("sources", index, "url"))
        what = f"stream {shown(part.written if part is not None else '')}"
    own = f", listening {' and '.join(source.listening)}" if source.listening else ""
    return f"{source.name}: {what}{f' at {source.site}' if source.site else ''}{own}"


def _action(action: ActionConfig) -> str:
    from birdwatchd.dispatch.plugins import LeftOut

    if isinstance(action, LeftOut):
        return f"{action.name}: left out, its plugin is broken"
    return f"{action.name}: {action.kind}, {f'when a detection has {action.on}' if action.enabled else 'off'}"


def _page(web: Web) -> str:
    from birdwatchd.config.rules import is_local

    who = "for this machine alone" if is_local(web.address) else "for all who can reach it"
    opens = [word for word, there in (("a password", web.password), ("tokens", web.tokens)) if there]
    with_what = f", with {' and '.join(opens)}" if opens else ", without a password"
    return f"{web.url} {who}{with_what}"


def _range(loaded: Loaded) -> str:
    place = loaded.config.location
    if not loaded.config.deciding.species_range.enabled:
        return "off"
    if place is None:
        return "off, as there is no location"
    minimum = loaded.config.deciding.species_range.minimum
    return f"occurrence of {minimum:g} or more at {_where(place)}"


def _where(place: Location) -> str:
    """With its directions, as degrees of latitude are easily taken for those of longitude."""
    north, east = place.latitude, place.longitude
    return f"{abs(north):g}° {'N' if north >= 0 else 'S'}, {abs(east):g}° {'E' if east >= 0 else 'W'}"


def _warnings(loaded: Loaded, card: Card | None) -> Iterator[str]:
    from birdwatchd.dispatch.plugins import LeftOut

    config = loaded.config
    if config.location is None and config.deciding.species_range.enabled:
        yield "no location: species from all over the world may be reported; give latitude and longitude"
    elif config.deciding.species_range.enabled and card is not None and not card.has_range:
        yield f"the model {card.name} has no species range: all its species may be reported"
    yield from sorted({action.why for action in config.actions if isinstance(action, LeftOut)})
    for action in config.actions:
        if action.enabled:
            yield from action.warnings()
    for source in config.sources:
        if source.kind == "recording" and not source.path.exists():
            yield f"{source.name}: there is no {source.path} now"
    if config.web is not None and importlib.util.find_spec("fastapi") is None:
        yield "the page needs packages that are not installed; run `pip install 'birdwatchd[web]'`"
    yield from told_secrets(loaded)
    yield from _wrong_places(config.store)


def _wrong_places(store: Store) -> Iterator[str]:
    database, clips = store.database, store.clips_folder
    if database.is_dir():
        yield f"store.database: {database} is a folder; name the file in it, such as {database / 'birds.sqlite'}"
    elif "not" in _database_state(database):
        yield f"{database} cannot be written by this user; change store.database or its permissions"
    if clips.exists() and not clips.is_dir():
        yield f"store.clips_folder: {clips} is no folder; name one"


def _database_state(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if path.exists():
        return "writable" if path.is_file() and os.access(path, os.W_OK) else "not writable"
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    return (
        "will be made"
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        else "cannot be made: not writable"
    )
