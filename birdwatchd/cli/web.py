"""`birdwatchd web`: makes what opens the page, to be put into the config."""

from __future__ import annotations

import secrets
import sys
from hashlib import sha256

import click

from birdwatchd.errors import UserError

SHORTEST = 8
"""Characters of a password."""


@click.group(short_help="Make a password or a token for the page.")
def web() -> None:
    """Make what opens the page and its API. The config gets only what cannot be turned back into it (docs/web.md).

    \b
    Examples:
      birdwatchd web password
      birdwatchd web token home-assistant
    """


@web.command()
def password() -> None:
    """Ask for a password, and print what `web.password` in the config has to be.

    It is asked for twice, and not shown; from a pipe its first line is taken.

    \b
    Examples:
      birdwatchd web password
      pass show birds | birdwatchd web password
    """
    try:
        from birdwatchd.web.password import LONGEST, hash_of

        if sys.stdin.isatty():
            given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            given = sys.stdin.readline().rstrip("\r\n")
        if not SHORTEST <= len(given) <= LONGEST:
            raise UserError(f"a password has {SHORTEST} characters or more; three words are a good one")
        made = hash_of(given)
    except ImportError as error:
        raise UserError(
            f"the page needs packages that are not installed ({error.name}); run `pip install 'birdwatchd[web]'`"
        ) from error
    click.echo("put this into the config, below `web:`, and reload birdwatchd:", err=True)
    click.echo(f"  password: {made}")


@web.command()
@click.argument("name", default="program")
def token(name: str) -> None:
    """Make a token for a program that asks the API, and print what `web.tokens` in the config has to have.

    NAME is what you call the program: it stands in the log and beside what the program changes.

    \b
    Examples:
      birdwatchd web token home-assistant
    """
    from pydantic import TypeAdapter, ValidationError

    from birdwatchd.config.kinds import Name

    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{name!r} is no name for a token: it takes letters, digits, `_`, `.` and `-`"
        ) from None
    made = f"birdwatchd_{secrets.token_urlsafe(32)}"
    click.echo("the program sends this, as `Authorization: Bearer …`; it is shown this once:", err=True)
    click.echo(made)
    click.echo("\nput this into the config, below `web:`, and reload birdwatchd:", err=True)
    click.echo(f"  tokens:\n    {name}: {sha256(made.encode()).hexdigest()}", err=True)
