"""Every setting there is, declared once. The rest of the house uses these frozen models as they are.

The docstring under a field is its description in the JSON schema and in the documentation (`reference.py` reads them:
pydantic could, but would take a third of the time that `birdwatchd check` has). What a kind of setting
takes is in `kinds.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import platformdirs
from pydantic import Field, SecretStr, SerializeAsAny

from birdwatchd.config.clip_name import DEFAULT as CLIP_NAME
from birdwatchd.config.kinds import (
    BundleName,
    ClipTemplate,
    FilePath,
    Language,
    Moment,
    Name,
    Network,
    Numeric,
    OffOr,
    Option,
    PasswordHash,
    PlainText,
    Prefix,
    PublicUrl,
    Score,
    Seconds,
    Sha256,
    SomeText,
    Takes,
    Threshold,
    TimeSpan,
    TimeZone,
    TokenHash,
)
from birdwatchd.config.strict import Strict
from birdwatchd.config.trigger import ActionConfig

if TYPE_CHECKING:
    from pathlib import Path


def data_folder() -> Path:
    """Where birdwatchd keeps what it writes, unless the config says otherwise."""
    return platformdirs.user_data_path("birdwatchd")


class Location(Strict):
    """Where the station stands. It switches the species range on."""

    latitude: Annotated[float, Field(ge=-90, le=90), Numeric]
    """Degrees north."""
    longitude: Annotated[float, Field(ge=-180, le=180), Numeric]
    """Degrees east."""
    timezone: TimeZone | None = None
    """IANA name, such as Europe/Berlin; the machine's own zone when left out."""


class Model(Strict):
    """Which model listens, and on what."""

    bundle: BundleName = "birdnet"
    """The name of a bundle in the models folder (`birdwatchd model list`), or the path of one."""
    sha256: Sha256 | None = None
    """Its hash, as `birdwatchd model info` tells it: any other file is refused. Not looked at when left out."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes CUDA when there is one."""
    precision: Literal["full", "half"] = "full"
    """`half` is for CUDA, and refused when a probe score moves by more than 0.02."""
    inference_threads: Annotated[int, Field(ge=1, le=64), Numeric] | None = None
    """One torch thread each; the number of cores, at most 4, when left out."""
    batch_size: Annotated[int, Field(ge=1, le=256), Numeric] = 2
    """Segments per call of the model. More is a little faster and takes more memory (about 20 MB each)."""


class SourceBase(Strict):
    """What all sources have."""

    name: Name
    """Names it in rows, topics and file names; once chosen, keep it."""
    site: PlainText = ""
    """Where it listens, when one station has several places; goes into every row."""
    listening: tuple[TimeSpan, ...] | None = None
    """Its own listening hours, instead of those of all; `[00:00..24:00]` is always."""


class MicrophoneSource(SourceBase):
    """A sound card's input."""

    kind: Literal["microphone"]
    """Says that it is one."""
    device: Annotated[int, Field(ge=0), Numeric] | SomeText | None = None
    """Index, part of the name, or USB id (`usb:046d:0825`); the system's default when left out."""
    sample_rate: Annotated[int, Field(ge=8000, le=384000), Numeric] | None = None
    """Hz; the model's rate where the card can do it, else the next rate above, when left out."""
    channel: Annotated[int, Field(ge=1, le=64), Numeric] | Literal["mix"] = 1
    """Which channel to listen to, counted from 1, or `mix` for their mean."""
    stall_seconds: Annotated[float, Field(ge=1, le=600), Numeric] = 5.0
    """So long without a sample, whatever the sound system says of it, and it is opened again."""


class RecordingSource(SourceBase):
    """A file, or a folder of files in the order of their names."""

    kind: Literal["recording"]
    """Says that it is one."""
    path: FilePath
    """The file or folder."""
    speed: Literal["real_time", "fast"] = "real_time"
    """As if a microphone heard it now, or as fast as the pipeline goes."""
    channel: Annotated[int, Field(ge=1, le=64), Numeric] | Literal["mix"] = "mix"
    """Which channel to listen to, counted from 1, or `mix` for their mean."""
    start: Literal["auto", "now"] | Moment = "auto"
    """When its first sample was recorded: from the file's name or comments, else now; `now`; or a time with zone."""


class StreamSource(SourceBase):
    """Anything that ffmpeg can open: RTSP, HTTP, and the like."""

    kind: Literal["stream"]
    """Says that it is one."""
    url: Annotated[SecretStr, Field(min_length=1), Takes("an address")]
    """The address; `${NAME}` is replaced from the environment, so that passwords need not stand here."""
    sample_rate: Annotated[int, Field(ge=8000, le=384000), Numeric] = 48000
    """Hz that ffmpeg is asked to deliver."""
    channel: Annotated[int, Field(ge=1, le=64), Numeric] | Literal["mix"] = "mix"
    """Which channel to listen to, counted from 1, or `mix` for their mean."""
    ffmpeg_options: tuple[Option, ...] = ()
    """Options that go before `-i`, such as `-rtsp_transport udp`, one word each."""
    stall_seconds: Annotated[float, Field(ge=1, le=600), Numeric] = 10.0
    """So long without a sample, and ffmpeg is ended and started again; one that opens has longer after failed attempts."""


Source = Annotated[MicrophoneSource | RecordingSource | StreamSource, Field(discriminator="kind")]


class Level(Strict):
    """The gate against silence and dead microphones."""

    minimum_dbfs: Annotated[float, Field(ge=-200, le=-6), Numeric] = -100.0
    """Segments below this level (root mean square, dBFS) are reported as silence, not classified."""


class SpeciesRange(Strict):
    """The gate that asks whether the species lives here at this time of the year. Needs a `location`."""

    enabled: bool = True
    """Off lets every label of the model through."""
    minimum: Score = 0.03
    """Occurrence that the range model has to give for this place and week."""


class Voice(Strict):
    """The gate that keeps people private."""

    mode: OffOr[Literal["drop", "no_audio", "off"]] = "drop"
    """What becomes of a detection while a person speaks: dropped, kept without audio, or kept as any other."""
    threshold: Threshold = 0.2
    """Score of a human label from which on a segment counts as speech."""
    labels: tuple[SomeText, ...] = ("Human *", "Homo sapiens")
    """The labels that mean people; `*` stands for anything."""


class Deciding(Strict):
    """When a label becomes a detection."""

    threshold: Threshold = 0.7
    """Pooled score (mean of a window's best two segments) from which on a species is reported."""
    thresholds: dict[str, Threshold] = {}  # noqa: RUF012 - pydantic copies it, and nothing writes to it
    """The same for single species, by scientific or common name."""
    use_card_thresholds: bool = True
    """Take the threshold that the model's card gives for a label, where it has one and `thresholds` does not."""
    min_hits: Annotated[int, Field(ge=1), Numeric] = 2
    """Segments of a window that must reach the threshold by themselves."""
    only: tuple[SomeText, ...] = ()
    """Nothing but these; scientific or common names, `*` stands for anything. All of them when empty."""
    include: tuple[SomeText, ...] = ()
    """These too, whatever the species range says, and also labels that are no species, such as `Power tools`."""
    exclude: tuple[SomeText, ...] = ()
    """Never these."""
    hysteresis: Score = 0.1
    """A detection goes on while its pooled score stays above the threshold minus this."""
    hold_seconds: Annotated[float, Field(ge=0), Numeric] = 3.0
    """A detection ends when no window has held it up for this long."""
    max_detection_seconds: Seconds = 30.0
    """A longer one is closed, and a new one begins."""
    refractory_seconds: Annotated[float, Field(ge=0), Numeric] = 0.0
    """Silence enforced per species and source after a detection has ended."""
    level: Level = Level.as_it_is()
    """Silence and dead microphones."""
    species_range: SpeciesRange = SpeciesRange.as_it_is()
    """Does it live here?"""
    voice: Voice = Voice.as_it_is()
    """People are private."""


class Retention(Strict):
    """How much sound and how many pictures stay on the disk."""

    days: Annotated[float, Field(gt=0), Numeric] | None = None
    """Older files are deleted; when left out, only for want of room."""
    gigabytes: Annotated[float, Field(gt=0), Numeric] = 10.0
    """All files in the clips folder together never take more (10⁹ bytes each): others give way first, then nothing is written."""
    free_gigabytes: Annotated[float, Field(ge=0), Numeric] = 1.0
    """So much of the disk is left free for everybody else."""


class Backup(Strict):
    """Copies of the database, made once a day while it is in use."""

    folder: FilePath | None = None
    """Where they go: `backups` beside the database when left out; another disk is better."""
    keep: Annotated[int, Field(ge=0), Numeric] = 3
    """So many of the newest stay; 0 makes none."""
    megabytes: Annotated[float, Field(gt=0), Numeric] = 200.0
    """A larger database is not copied, and the log says so: every copy is written to the card as a whole."""


class Store(Strict):
    """What is written down, and where."""

    database: FilePath = Field(
        default_factory=lambda: data_folder() / "birdwatchd.sqlite",
        json_schema_extra={"default": "~/.local/share/birdwatchd/birdwatchd.sqlite"},
    )
    """The SQLite file."""
    trace_days: Annotated[float, Field(ge=0), Numeric] = 7.0
    """How long `birdwatchd why` can answer: candidates that were stopped are kept so many days."""
    delivery_days: Annotated[float, Field(ge=0), Numeric] = 30.0
    """How long `birdwatchd deliveries` remembers what became of a delivery, in days."""
    clips_folder: FilePath = Field(
        default_factory=lambda: data_folder() / "clips",
        json_schema_extra={"default": "~/.local/share/birdwatchd/clips"},
    )
    """Where sound and pictures go."""
    clip_name: ClipTemplate = CLIP_NAME
    """How they are named: `{common}`, `{scientific}`, `{code}`, `{source}`, `{start:…}` (strftime, in the station's zone) and `{id}`, which must be there; `{id:.8}` is its first 8 digits. `/` makes folders."""
    continuous: bool = False
    """Also write all that is heard, in hourly FLAC files below `clips_folder/recordings`."""
    retention: Retention = Retention.as_it_is()
    """How much of it stays."""
    backup: Backup = Backup.as_it_is()
    """Copies of the database."""


class Log(Strict):
    """What the daemon says while it runs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are still written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""


class Metrics(Strict):
    """Numbers for Prometheus at `/metrics`, and at `/healthz` whether all is well. Off, unless this section is there."""

    port: Annotated[int, Field(ge=1, le=65535), Numeric]
    """Where it can be asked; 9464 is usual."""
    address: SomeText = "127.0.0.1"
    """Who may ask: this machine alone; `0.0.0.0` is everybody who can reach it, without a password."""


class Web(Strict):
    """The page to look at in a browser, and its API (docs/web.md). Off, unless this section is there."""

    port: Annotated[int, Field(ge=1, le=65535), Numeric]
    """Where a browser finds it; 8080 is usual."""
    address: SomeText = "127.0.0.1"
    """Who can reach it: this machine alone; `0.0.0.0` is everybody who can reach the machine, and takes a password or tokens."""
    password: PasswordHash | None = None
    """What `birdwatchd web password` makes of one: never the password itself. Nobody is asked for one when left out."""
    tokens: dict[Name, TokenHash] = {}  # noqa: RUF012 - pydantic copies it, and nothing writes to it
    """For programs that ask the API: a name of your choice for each, and what `birdwatchd web token` says belongs here."""
    prefix: Prefix = ""
    """The path below which a reverse proxy shows it, such as `/birds`."""
    public_url: PublicUrl | None = None
    """Where others find it, such as `https://birds.example.org/garden`, with `prefix` at its end where there is one: messages link to it. When left out they link to `address`, where that is one that others can reach, and else have no links."""
    proxies: tuple[Network, ...] = ("127.0.0.1", "::1")
    """Addresses of reverse proxies: they are believed when they say who asks, and whether over TLS."""

    @property
    def url(self) -> str:
        """Where a browser finds it, without a proxy."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{address}:{self.port}{self.prefix}/"


class Config(Strict):
    """One station."""

    node: Name = "birdwatchd"
    """The station's name."""
    location: Location | None = None
    """Where it stands; without it the species range is off."""
    language: Language = "en"
    """Language of the common names, such as `de`."""
    window_seconds: Annotated[float, Field(gt=0, le=60), Numeric] = 6.0
    """Length of what is decided on."""
    hop_seconds: Annotated[float, Field(ge=0.1, le=60), Numeric] = 1.5
    """From the start of one window to the start of the next; also the grid of the model's segments."""
    model: Model = Model.as_it_is()
    """Which model listens."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """What it listens to; one or more."""
    listening: tuple[TimeSpan, ...] = ()
    """Listening hours, in the station's zone: what was captured outside of them is skipped. Always when empty."""
    deciding: Deciding = Deciding.as_it_is()
    """When a label becomes a detection."""
    actions: tuple[SerializeAsAny[ActionConfig], ...] = ()
    """What is set off by a detection; docs/actions.md has every kind with its own settings."""
    store: Store = Store.as_it_is()
    """What is written down."""
    log: Log = Log.as_it_is()
    """What the daemon says."""
    metrics: Metrics | None = None
    """Numbers for Prometheus; no port is opened without this section."""
    web: Web | None = None
    """The page to look at; no port is opened without this section."""
