"""`command`: a detection starts a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo

from birdwatchd.actions import Action, ActionConfig, Context, GiveUp, Postpone
from birdwatchd.actions.child import Overdue, run_child
from birdwatchd.actions.payload import encoded
from birdwatchd.actions.placeholders import MEANINGS, fill_argument, meanings_of, refuse_unknown
from birdwatchd.actions.program import (
    clean_environment,
    home,
    missing_program,
    program_path,
    refuse_in_script,
)
from birdwatchd.config.kinds import FilePath, Numeric, SomeText, Takes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.domain import Detection


class CommandFailed(Postpone):
    """The program says that it did not do it."""


def _words(words: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    program, *arguments = words
    if "{" in program:
        raise ValueError("must not have a placeholder in its first item: that names the program")
    for argument in arguments:
        if "\0" in argument:
            raise ValueError("has a NUL character; no program can be given one")
        refuse_unknown(argument, MEANINGS)
    refuse_in_script(words)
    return (program_path(program, info), *arguments)


Words = Annotated[
    tuple[SomeText, ...],
    Field(min_length=1, max_length=200),
    AfterValidator(_words),
    Takes("a list: the program, and each argument as an item of its own"),
]

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Command(Action):
    """Start a program.

    It is started as it is, never through a shell, with a clean environment: `PATH`, `HOME`, `LANG`, `TZ`, what
    `environment` adds, and every placeholder as `BIRDWATCHD_SPECIES`, `BIRDWATCHD_SCORE` and so on. On its standard input
    it can read the detection as JSON (docs/webhook.md). Exit status 0 means done; its output is kept with the delivery.

    When it takes too long, or birdwatchd ends, it and all that it started are ended. What it leaves running when it exits is
    ended too, unless started with `setsid`. A value that begins with `-` loses its dashes where it would begin an argument,
    so that no name can become an option. In a script that a shell gets (`[sh, -c, …]`) a placeholder is refused, as a name
    could end it: write `"$BIRDWATCHD_SPECIES"` there.

    The placeholders, here, for `camera` and for `notify` alike (times are the station's own):

    - `{species}`: common name, in the language of the config
    - `{scientific}`: scientific name
    - `{code}`: eBird's species code, empty when unknown
    - `{score}`: pooled score, 0 to 1, such as 0.93
    - `{percent}`: the same in percent, such as 93
    - `{start}`: when it began, such as 2026-05-09T06:42:10.250+02:00
    - `{end}`: when it ended, or the end of what was heard so far
    - `{date}`: the day it began, such as 2026-05-09
    - `{time}`: when it began, such as 06:42:10
    - `{state}`: `started` or `ended`
    - `{source}`: name of the source that heard it
    - `{site}`: where that source listens, empty when the config does not say
    - `{node}`: the station's name
    - `{id}`: the detection's id, the same in the database and in all messages
    - `{clip}`: path of its files without their suffix; the sound is at `{clip}.flac`, pictures at `{clip}_1.jpg` …
    - `{page_url}`: address of the detection's page, empty when there is none that others can reach (docs/web.md)
    - `{clip_url}`: address of its sound there, which may be written only later; empty unless it will be kept
    - `{count_today}`: how often this species was heard today, this one included
    """

    class Config(ActionConfig):
        """Start a program."""

        argv: Words
        """The program and its arguments, one item each. In the arguments `{species}` and the other placeholders are replaced; `{{` stands for `{`."""
        environment: dict[VariableName, Annotated[SecretStr, Takes("text")]] = {}  # noqa: RUF012 - pydantic copies it
        """Variables that it gets besides; `${NAME}` in a value is replaced from the daemon's own environment."""
        working_folder: FilePath | None = None
        """Where it is started; the home folder when left out."""
        give_up_statuses: tuple[Annotated[int, Field(ge=1, le=255), Numeric], ...] = ()
        """Exit statuses after which it is not tried again."""
        output_bytes: Annotated[int, Field(ge=0, le=100_000), Numeric] = 2000
        """So much of its output is kept, from the end."""

        def warnings(self) -> Iterator[str]:
            """What `birdwatchd check` should tell."""
            missing = missing_program(self.argv[0])
            if missing:
                yield f"{self.name}: {missing}"

    config: Config
    durability = "ephemeral"
    default_max_age_seconds = 120.0

    def run(self, detection: Detection, context: Context) -> None:
        """Start it, and wait for its end."""
        config = self.config
        values = meanings_of(detection, context)
        program, *arguments = config.argv
        folder = config.working_folder or home()
        try:
            ended = run_child(
                [program, *(fill_argument(argument, values) for argument in arguments)],
                seconds=0.95 * config.timeout_seconds,
                environment=self._environment(values, context),
                folder=folder,
                given=encoded(detection, context),
                keep_bytes=config.output_bytes,
                ends_at=lambda: self.ends_at,
            )
        except Overdue as overdue:
            context.note(output=overdue.output)
            raise
        context.note(status=ended.status, output=ended.output)
        if ended.status in config.give_up_statuses:
            raise GiveUp(ended.told(program))
        if ended.status != 0:
            raise CommandFailed(ended.told(program))

    def probe(self, detection: Detection, context: Context) -> str:
        """See that program and folder are there."""
        missing = missing_program(self.config.argv[0])
        if missing:
            raise GiveUp(missing)
        folder = self.config.working_folder
        if folder is not None and not folder.is_dir():
            raise GiveUp(f"there is no folder {folder}, where it is to be started")
        return f"{self.config.argv[0]} is there"

    def _environment(self, values: dict[str, str], context: Context) -> dict[str, str]:
        clean = clean_environment(context.zone)
        ours = {f"BIRDWATCHD_{name.upper()}": value for name, value in values.items()}
        own = {name: value.get_secret_value() for name, value in self.config.environment.items()}
        return clean | ours | own
