"""`birdwatchd actions`: what can be set off by a detection, and a trial of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.station import config_option
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.config.schema import Config
    from birdwatchd.dispatch.described import Described
    from birdwatchd.dispatch.plugins import Plugins
    from birdwatchd.dispatch.trial import Result
    from birdwatchd.domain import Label


@click.group(short_help="What can be set off by a detection: every kind with its settings, and a trial.")
def actions() -> None:
    """What can be set off by a detection.

    \b
    Examples:
      birdwatchd actions list
      birdwatchd actions test owls-at-night
    """


@actions.command("list", short_help="Every kind of action that is installed, with its settings.")
@click.argument("kinds", metavar="[KIND]...", nargs=-1)
@click.option("--json", "form", flag_value="json", help="One JSON array, an object for each kind.")
@click.option(
    "--reference", "form", flag_value="reference", help="The documentation of our own, in Markdown."
)
def list_actions(kinds: tuple[str, ...], form: str | None) -> None:
    """Every kind of action that is installed, with its settings and their defaults.

    Plugins of third parties are among them. One that cannot be used is named, with the reason.

    \b
    Examples:
      birdwatchd actions list              all of them, in short
      birdwatchd actions list mqtt         one, with every setting
      birdwatchd actions list --json | jq '.[].kind'
    """
    from birdwatchd.dispatch import described
    from birdwatchd.dispatch.plugins import BrokenPlugin, Plugins

    plugins = Plugins()
    if form == "reference":
        click.echo(described.reference(plugins), nl=False)
        return
    found = []
    for kind in _known(kinds, plugins):
        try:
            found.append(described.describe(kind, plugins))
        except BrokenPlugin as error:
            click.echo(f"left out: {error}", err=True)
    if form == "json":
        _write_json(found)
    elif kinds:
        _show_settings(found)
    else:
        _show_kinds(found)


@actions.command("test", short_help="Carry out one action of the config, with a made-up detection.")
@click.argument("name")
@config_option
@click.option(
    "--species", metavar="NAME", help="Common or scientific name; a Eurasian Blackbird when left out."
)
def test_action(name: str, path: Path | None, species: str | None) -> None:
    """Carry out one action of the config, with a made-up detection that is marked as a test.

    It is really done: the message is sent, the picture taken, also when the action is off or its `when` would not have
    it. Its detection has an id that begins with `test`, and is not written to the database. The exit status is 1 when
    it fails.

    \b
    Examples:
      birdwatchd actions test porch-lamp
      birdwatchd actions test owls-at-night --species "Tawny Owl"
    """
    from birdwatchd.config.load import find_config, load
    from birdwatchd.config.secrets import Secrets
    from birdwatchd.dispatch.plugins import BrokenPlugin, Plugins, Schemas
    from birdwatchd.dispatch.trial import attempt, made_up, surroundings_of
    from birdwatchd.service.logs import set_up

    plugins = Plugins()
    config = load(path or find_config(), actions=Schemas(plugins)).config
    set_up(config.log, Secrets(config))
    settings = next((one for one in config.actions if one.name == name), None)
    if settings is None:
        raise UserError(_no_such_action(name, [one.name for one in config.actions]))
    from birdwatchd.dispatch.making import make_action

    state = next(iter(sorted(settings.states, reverse=True)))
    try:
        action = make_action(settings, plugins)
    except BrokenPlugin as error:
        raise UserError(str(error)) from error
    detection = made_up(config, _label(config, species), state)
    click.echo(f"{name} ({settings.kind}) is told of a {detection.label.common_name}, id {detection.id}")
    result = attempt(action, detection, surroundings_of(config))
    _tell(result, is_enabled=settings.enabled)
    if result.error:
        sys.exit(1)


def _known(kinds: tuple[str, ...], plugins: Plugins) -> list[str]:
    from birdwatchd.config.complaint import near

    for kind in kinds:
        if kind not in plugins:
            close = near(kind, plugins)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(plugins)}"
            raise UserError(f"there is no kind of action called {kind}; {hint}")
    return list(kinds or plugins)


def _show_kinds(found: list[Described]) -> None:
    from rich.table import Table

    from birdwatchd.cli.screen import open_screen

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Kind", "What it does", "Its own settings", "From"):
        table.add_column(name, no_wrap=name in ("Kind", "From"))
    for one in found:
        own = ", ".join(setting.name for setting in one.settings)
        table.add_row(one.kind, one.description.splitlines()[0], own, one.package)
    open_screen().print(table)
    click.echo("`birdwatchd actions list KIND` tells what each setting means.", err=True)


def _show_settings(found: list[Described]) -> None:
    from rich.table import Table
    from rich.text import Text

    from birdwatchd.cli.screen import open_screen
    from birdwatchd.dispatch.described import common_settings

    screen = open_screen()
    for one in found:
        screen.print(Text.assemble((one.kind, "bold"), (f"  {one.package}", "dim")))
        screen.print(one.description)
        screen.print(f"Its deliveries are {one.durability}: {one.durability_words}.\n")
    for title, settings in [(one.kind, one.settings) for one in found] + [
        ("every action", common_settings())
    ]:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in (f"Settings of {title}", "Takes", "Default", "Meaning"):
            table.add_column(name, overflow="fold")
        for setting in settings:
            default = "must be given" if setting.is_required else setting.default
            table.add_row(setting.name, setting.takes, default, setting.meaning)
        screen.print(table)
        screen.print()


def _write_json(found: list[Described]) -> None:
    import json
    from dataclasses import asdict

    rows = [asdict(one) for one in found]
    click.echo(json.dumps(rows, indent=2, ensure_ascii=False))


def _no_such_action(name: str, names: list[str]) -> str:
    from birdwatchd.config.complaint import near

    if not names:
        return f"there is no action called {name}: the config has none; `birdwatchd actions list` shows what there could be"
    close = near(name, names)
    return f"there is no action called {name} in the config; " + (
        f"did you mean {close}?" if close else f"there are {', '.join(names)}"
    )


def _label(config: Config, species: str | None) -> Label:
    """The species that is meant, from the model's card."""
    from birdwatchd.config.complaint import near
    from birdwatchd.config.species import matches
    from birdwatchd.dispatch.trial import BLACKBIRD
    from birdwatchd.errors import BundleError
    from birdwatchd.model.bundle import read_card
    from birdwatchd.model.catalog import find

    if species is None:
        return BLACKBIRD
    try:
        labels = read_card(find(config.model.bundle), config.language).labels
    except BundleError:
        from birdwatchd.domain import Label

        return Label(0, species, species)
    found = next((label for label in labels if matches(species, label)), None)
    if found is None:
        close = near(species, [one for label in labels for one in (label.common_name, label.scientific_name)])
        raise UserError(f"the model knows no {species}" + (f"; did you mean {close}?" if close else ""))
    return found


def _tell(result: Result, *, is_enabled: bool) -> None:
    for name, value in result.notes.items():
        click.echo(f"  {name}: {value}")
    if result.error:
        again = "it would not be tried again" if result.is_final else "it would be tried again later"
        click.echo(f"failed after {result.seconds:.2f} s: {result.error} ({again})")
    else:
        click.echo(f"done in {result.seconds:.2f} s")
    if not is_enabled:
        click.echo("it is off in the config (enabled: false)")
    elif result.refusal:
        click.echo(f"a real one like this would not have set it off: {result.refusal}")
