"""`birdwatchd model`: makes, describes and checks the bundles that listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from birdwatchd.cli.model_build import build
from birdwatchd.cli.model_compare import compare

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.model.bundle import Card


@click.group()
def model() -> None:
    """Build, describe, check and compare models.

    \b
    Examples:
      birdwatchd model build birdnet
      birdwatchd model info birdnet --labels 'Parus*'
      birdwatchd model compare birdnet garden
    """


model.add_command(build)
model.add_command(compare)


@model.command()
@click.argument("bundle", metavar="[NAME|FILE]", default="birdnet")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option(
    "--labels",
    "pattern",
    metavar="[PATTERN]",
    is_flag=False,
    flag_value="*",
    help="List the labels; only those that match, where `*` stands for anything.",
)
@click.option("--language", default="en", show_default=True, help="Language of the common names.")
def info(bundle: str, as_json: bool, pattern: str | None, language: str) -> None:
    """Say what is in a bundle.

    \b
    Examples:
      birdwatchd model info
      birdwatchd model info birdnet --labels '*owl*'
      birdwatchd model info birdnet --labels --language de
      birdwatchd model info /media/stick/mine.pt --json
    """
    from birdwatchd.model.bundle import read_card
    from birdwatchd.model.catalog import find

    path = find(bundle)
    card = read_card(path, language)
    if pattern is not None:
        _print_labels(card, pattern, as_json=as_json)
        return
    facts = _facts(path, card)
    if as_json:
        import json

        click.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for fact, value in facts.items():
        click.echo(f"{fact.replace('_', ' '):<16}{_words(value)}")


@model.command()
@click.argument("bundle", metavar="[NAME|FILE]", default="birdnet")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def verify(bundle: str, device: str) -> None:
    """Load a bundle, and check that it still scores silence and noise as when it was made.

    \b
    Examples:
      birdwatchd model verify
      birdwatchd model verify /media/stick/mine.pt
    """
    from birdwatchd.model.catalog import find
    from birdwatchd.model.verifying import verified

    path = find(bundle)
    card, move = verified(path, device=device)  # type: ignore[arg-type] # click has checked it
    known = f"probe scores as recorded (within {move:.0e})" if card.probes else "no probe scores recorded"
    click.echo(f"ok: {path}: {card.name} {card.version}, {len(card.labels)} labels, {known}")


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_bundles(as_json: bool) -> None:
    """List the bundles in the models folder.

    \b
    Examples:
      birdwatchd model list
      birdwatchd model list --json
    """
    from birdwatchd.errors import BundleError
    from birdwatchd.model.bundle import read_card
    from birdwatchd.model.catalog import bundles, models_folder

    rows: list[dict[str, Any]] = []
    for path in bundles():
        row: dict[str, Any] = {
            "bundle": path.stem,
            "path": str(path),
            "megabytes": round(path.stat().st_size / 1e6),
        }
        try:
            card = read_card(path)
            row |= {"name": card.name, "version": card.version, "labels": len(card.labels), "fault": ""}
        except BundleError as error:
            row |= {"name": "", "version": "", "labels": 0, "fault": str(error)}
        rows.append(row)
    if as_json:
        import json

        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo(f"no bundles in {models_folder()}; `birdwatchd model build birdnet` makes one", err=True)
        return
    from rich.table import Column, Table

    from birdwatchd.cli.terminal import Terminal

    table = Table("bundle", "model", "labels", "MB", Column(overflow="fold"), box=None)
    for row in rows:
        name = f"{row['name']} {row['version']}"
        table.add_row(row["bundle"], name, str(row["labels"] or ""), str(row["megabytes"]), row["fault"])
    Terminal(highlight=False, markup=False).print(table)


def _facts(path: Path, card: Card) -> dict[str, Any]:
    from birdwatchd.model.birdnet_files import sha256

    return {
        "name": card.name,
        "version": card.version,
        "created": card.created,
        "labels": len(card.labels),
        "sample_rate": card.sample_rate,
        "segment_seconds": card.input_seconds,
        "embedding_dims": card.embedding_dims,
        "species_range": card.has_range,
        "thresholds": card.thresholds,
        "calibrated_to": card.calibrated_to,
        "trained_on": list(card.trained_on),
        "metrics": card.metrics,
        "licence": card.licence,
        "attribution": card.attribution,
        "source": card.source,
        "source_sha256": card.source_sha256,
        "languages": list(card.languages),
        "path": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        parts = value.items() if isinstance(value, dict) else value
        return ", ".join(str(part) for part in parts) or "-"
    return str(value) or "-"


def _print_labels(card: Card, pattern: str, *, as_json: bool) -> None:
    """Scientific name, common name and eBird code, one label a line, tab-separated."""
    from fnmatch import fnmatchcase

    wanted = pattern.lower()
    if not any(sign in wanted for sign in "*?["):
        wanted = f"*{wanted}*"
    labels = [
        label
        for label in card.labels
        if any(
            fnmatchcase(name.lower(), wanted)
            for name in (label.scientific_name, label.common_name, label.code)
        )
    ]
    if as_json:
        import dataclasses
        import json

        click.echo(json.dumps([dataclasses.asdict(label) for label in labels], ensure_ascii=False, indent=2))
        return
    for label in labels:
        click.echo(f"{label.scientific_name}\t{label.common_name}\t{label.code}")
    if not labels:
        click.echo(f"no label of {card.name} matches {pattern!r}", err=True)
