"""`birdwatchd analyze`: what sang when in a folder of recordings."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Literal

    from birdwatchd.analysis.files import File
    from birdwatchd.analysis.findings import Findings
    from birdwatchd.analysis.outputs import Outputs
    from birdwatchd.analysis.sites import Site, Sites
    from birdwatchd.analysis.study import Plan, Shard
    from birdwatchd.config.schema import Config

FORMATS = ("csv", "jsonl", "raven", "audacity", "parquet")
LEAST_WINDOW_SCORE = 0.001
A_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=A_PATH)
@click.option("-o", "--output", type=A_PATH, help="Write the detections here; standard output when left out.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="Of the detections. By the output's suffix when left out, else csv; a table on a terminal.",
)
@click.option("--resume", is_flag=True, help="Go on with an analysis that was interrupted.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    help="Processes, each with its own model; one a core by default.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Let the workers of this Dask scheduler do it, such as tcp://10.0.0.1:8786.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Do the I-th of N parts only, to be put together by the same command with --resume instead.",
)
@click.option("-c", "--config", type=A_PATH, help="Take the settings of this config file.")
@click.option("--model", help="Name or path of a bundle; birdnet by default.")
@click.option("--language", help="Of the common names, such as de.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Pooled score that a species has to reach; 0.7."
)
@click.option("--min-hits", type=click.IntRange(1), help="Segments of a window that have to reach it; 2.")
@click.option("--hop", type=click.FloatRange(0.1, 60), help="Seconds from segment to segment; 1.5.")
@click.option("--only", multiple=True, metavar="SPECIES", help="Nothing but these; * stands for anything.")
@click.option(
    "--include", multiple=True, metavar="SPECIES", help="These too, whatever the species range says."
)
@click.option("--exclude", multiple=True, metavar="SPECIES", help="Never these.")
@click.option("--channel", help="Counted from 1, or mix for the mean of all, the default.")
@click.option("--start", help="When the recording began, as ISO 8601, whatever its name says.")
@click.option(
    "--latitude", type=click.FloatRange(-90, 90), help="Degrees north; with it the species range is on."
)
@click.option("--longitude", type=click.FloatRange(-180, 180), help="Degrees east.")
@click.option(
    "--timezone", help="Of the recorders' clocks, such as Europe/Berlin; this machine's by default."
)
@click.option(
    "--sites", type=A_PATH, help="CSV with folder, latitude, longitude, timezone, and perhaps site."
)
@click.option("--summary", type=A_PATH, help="Write detections by species, site and day here, as CSV.")
@click.option("--windows", type=A_PATH, help="Write every window's scores here, as CSV.")
@click.option(
    "--windows-minimum",
    type=click.FloatRange(LEAST_WINDOW_SCORE, 1),
    default=0.1,
    show_default=True,
    help="Pooled score from which on they are written.",
)
@click.option(
    "--samples", type=click.IntRange(1, 10_000), help="Cut so many clips a species, to check by ear."
)
@click.option(
    "--samples-folder", type=A_PATH, default=Path("samples"), show_default=True, help="Where they go."
)
@click.option(
    "--samples-pick",
    type=click.Choice(["random", "best"]),
    default="random",
    show_default=True,
    help="Which ones.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed picks other random samples."
)
def analyze(paths: tuple[Path, ...], **options: Any) -> None:
    """Find what sang when in recordings: files, and folders with all that is in them.

    Reads wav, flac, ogg, mp3, and what ffmpeg reads. When a recording began is taken from its AudioMoth or GUANO
    comment, or from its name. One row a detection. A file that is damaged is reported, and the rest go on: the exit
    status is 1 then.

    \b
    Examples:
      birdwatchd analyze dawn.wav
      birdwatchd analyze recordings/ -o detections.csv --latitude 52.5 --longitude 13.4
      birdwatchd analyze recordings/ -o detections.csv --resume
      birdwatchd analyze recordings/ --sites sites.csv -o all.parquet --summary days.csv --samples 20
      birdwatchd analyze dawn.wav --format raven -o dawn.txt
      birdwatchd analyze cards/ -o all.csv --cluster tcp://10.0.0.1:8786
      birdwatchd analyze cards/ -o all.csv --shard $SLURM_ARRAY_TASK_ID/20
      birdwatchd analyze night/ --only 'Strix*' --threshold 0.5 --jobs 2
    """
    if not options["cluster"]:
        from birdwatchd.analysis.jobs import start_server

        # Before anything else, as all else is done while it imports torch.
        start_server()

    from birdwatchd.analysis.quiet import quiet
    from birdwatchd.analysis.study import study
    from birdwatchd.cli.progress import Progress
    from birdwatchd.errors import UserError

    quiet()
    outputs = _outputs(options)
    plan = _plan(paths, options)
    with Progress(plan) as progress:
        try:
            outcome = study(plan, outputs, progress, _shown(options, outputs))
        except KeyboardInterrupt:
            progress.interrupted(outputs.output)
            sys.exit(130)
    if not outcome.analysed:
        raise UserError("\n".join(found.failure for found in outcome.failed))
    progress.sum_up(outcome, outputs.output)
    if outcome.failed:
        sys.exit(1)


def _outputs(options: Mapping[str, Any]) -> Outputs:
    from birdwatchd.analysis.outputs import SUFFIXES, Outputs
    from birdwatchd.errors import UserError

    output: Path | None = options["output"]
    if options["resume"] and output is None:
        raise UserError("--resume needs the --output of the analysis that was interrupted")
    suffix = output.suffix.casefold() if output else ""
    outputs = Outputs(
        format=options["format_name"] or SUFFIXES.get(suffix, "csv"),
        output=output,
        summary=options["summary"],
        windows=options["windows"],
        samples=options["samples"] or 0,
        samples_folder=options["samples_folder"] if options["samples"] else None,
        samples_pick=options["samples_pick"],
        seed=options["seed"],
    )
    outputs.check()
    return outputs


def _plan(paths: Sequence[Path], options: Mapping[str, Any]) -> Plan:
    from birdwatchd.analysis.files import find
    from birdwatchd.analysis.settings import option_paths, refuse_unfit, settle
    from birdwatchd.analysis.study import Plan
    from birdwatchd.analysis.worker import Settings
    from birdwatchd.errors import UserError
    from birdwatchd.model.bundle import read_card
    from birdwatchd.model.catalog import find as find_bundle

    given = option_paths(options)
    config = settle(options["config"], given)
    bundle = find_bundle(config.model.bundle)
    card = read_card(bundle, config.language)
    refuse_unfit(config, given, card)
    channel = _channel(options["channel"])
    sites = _sites(config, paths, options)
    shard = _shard(options, files := find(paths))
    if options["start"] and len(files) > 1:
        raise UserError(
            f"--start is for one recording, not for {len(files)}: let their names say when they began"
        )
    settings = Settings(
        config,
        bundle,
        start=_moment(options["start"], sites.of(files[0].path)) if options["start"] else None,
        channel=channel,
        windows_minimum=options["windows_minimum"] if options["windows"] else None,
    )
    return Plan(
        files,
        sites,
        settings,
        card,
        options["jobs"],
        resume=options["resume"],
        cluster=options["cluster"],
        shard=shard,
    )


def _shard(options: Mapping[str, Any], files: Sequence[File]) -> Shard | None:
    from birdwatchd.analysis.study import Shard
    from birdwatchd.errors import UserError

    text: str | None = options["shard"]
    if options["cluster"]:
        if text or options["jobs"]:
            raise UserError("--cluster has workers of its own: leave --jobs and --shard out")
        if importlib.util.find_spec("distributed") is None:
            raise UserError("--cluster needs Dask: pip install 'birdwatchd[cluster]'")
    if text is None:
        return None
    number, _, count = text.partition("/")
    if not (number.isascii() and number.isdecimal() and count.isascii() and count.isdecimal()):
        raise UserError(f"--shard {text!r} is no part: write 3/20 for the third of twenty")
    shard = Shard(int(number), int(count))
    if not 1 <= shard.number <= shard.count:
        raise UserError(f"--shard {text}: the parts count from 1 to {count}")
    if shard.count > len(files):
        raise UserError(f"--shard {text}: there are only {len(files)} recordings; take fewer parts")
    if options["output"] is None:
        raise UserError("--shard needs the --output that the parts are put together in")
    return shard


def _sites(config: Config, paths: Sequence[Path], options: Mapping[str, Any]) -> Sites:
    from birdwatchd.analysis.sites import Site, Sites, check_timezone, read_sites
    from birdwatchd.errors import UserError

    latitude, longitude, timezone = (options[name] for name in ("latitude", "longitude", "timezone"))
    if (latitude is None) != (longitude is None):
        raise UserError("--latitude and --longitude go together: give both, or neither")
    if timezone and (wrong := check_timezone(timezone)):
        raise UserError(f"--timezone: {wrong}")
    home = config.location
    if latitude is None and home is not None:
        latitude, longitude = home.latitude, home.longitude
    elsewhere = Site("", latitude, longitude, timezone or (home.timezone if home else None))
    if options["sites"] is None:
        return Sites({}, elsewhere)
    return read_sites(options["sites"], paths, elsewhere)


def _moment(text: str, site: Site) -> datetime:
    from datetime import datetime

    from birdwatchd.errors import UserError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"--start {text!r} is no time: write it as 2023-04-01T05:30:00, with +02:00 behind if you like"
        ) from None
    if moment.tzinfo is not None:
        return moment
    return moment.astimezone() if site.zone is None else moment.replace(tzinfo=site.zone)


def _channel(text: str | None) -> int | Literal["mix"]:
    from birdwatchd.errors import UserError

    if text is None or text == "mix":
        return "mix"
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise UserError(f"--channel {text!r} is no channel: give its number, counted from 1, or mix")
    return int(text)


def _shown(options: Mapping[str, Any], outputs: Outputs) -> Callable[[Iterable[Findings]], None]:
    """How the detections get to standard output, when no file was named."""
    from birdwatchd.analysis.results import TEXT_FORMATS
    from birdwatchd.cli.progress import show_table

    if options["format_name"] is None and sys.stdout.isatty():
        return show_table

    def write(findings: Iterable[Findings]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
        TEXT_FORMATS[outputs.format](findings, sys.stdout)
        sys.stdout.flush()

    return write
