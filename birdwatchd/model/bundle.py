"""A model bundle: its card, which is read without torch, and how one is written.

A bundle is a TorchScript archive, which is a zip file. Its extra files, all named `ARCHIVE/extra/NAME`, are

    card.json           what it says of itself (`Card`)
    names/LANGUAGE.txt  common names in another language, one line per label
    range_model.pt      the species range model, a TorchScript archive of its own

Its `forward` takes waveform float32 (batch, samples) in [-1, 1] and returns scores (batch, labels) in [0, 1]; `embed`,
where there is one, returns (batch, dims). A submodule `body` is what may run in half precision; `forward` converts what
goes into it and what comes out.
"""

from __future__ import annotations

import difflib
import json
import re
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from birdwatchd.config.plain import is_plain_line, plain, plain_line
from birdwatchd.domain import Label  # noqa: TC001 - pydantic reads it when it validates a card
from birdwatchd.errors import BundleError
from birdwatchd.model.reach import reaches_further

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _plain_text(text: str) -> str:
    if plain(text) != text:
        raise ValueError("has a control character")
    return text


def _line(text: str) -> str:
    if not is_plain_line(text):
        raise ValueError("is more than one line, or has a control character")
    return text


FORMAT = 1
CARD = "card.json"
RANGE_MODEL = "range_model.pt"
LANGUAGE_FILE = re.compile(r"names/([a-z]{2,3}(?:_[A-Za-z]{2,4})?)\.txt")
MOST_BYTES = {CARD: 64_000_000, RANGE_MODEL: 500_000_000}
"""Of a file inside a bundle, unpacked; BirdNET's card has less than 1 MB, its range model 29."""
MOST_BYTES_OF_NAMES = 16_000_000
LONGEST_TEXT = 10_000
LONGEST_NAME = 200
"""Characters of a label's name."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_plain_text)]
Line = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_line)]


@dataclass(frozen=True, slots=True)
class Card:
    """What a bundle says of itself."""

    name: Line
    version: Line
    labels: tuple[Label, ...]
    sample_rate: Annotated[int, Field(ge=1000, le=1_000_000)]
    input_seconds: Annotated[float, Field(gt=0, le=600)]
    thresholds: dict[Text, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    """By scientific name; for labels that want another threshold than the rest."""
    licence: Line
    created: Text = ""
    """When it was made, UTC, as ISO 8601."""
    score: Text = "sigmoid"
    calibrated_to: Text = ""
    """What the thresholds were calibrated to, in words."""
    embedding_dims: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Width of what `embed` returns; 0 when there is no `embed`."""
    trained_on: tuple[dict[Text, Text | int], ...] = ()
    """Data sets, each with name, licence, clips."""
    metrics: dict[Text, Finite] = field(default_factory=dict)
    attribution: Text = ""
    """Whom to name, where the licence asks for it."""
    source: Text = ""
    """Where the weights come from."""
    source_sha256: Text = ""
    probes: dict[Text, dict[int, Finite]] = field(default_factory=dict)
    """The five best scores of each probe segment when it was made: probe name, then label index."""
    unranged: frozenset[Text] = frozenset()
    """Scientific names of labels that the range model cannot judge: sounds, frogs, insects, mammals."""
    sounds: frozenset[Text] = frozenset()
    """Scientific names of labels that are no species: engines, sirens, people, dogs."""
    languages: tuple[str, ...] = ("en",)
    """Languages that it has common names in. Told by its extra files."""
    has_range: bool = False
    """Whether it holds a species range model. Told by its extra files."""

    @property
    def input_samples(self) -> int:
        """Samples that `forward` takes at once."""
        return round(self.input_seconds * self.sample_rate)


def read_card(path: Path, language: str = "en") -> Card:
    """The card of the bundle at `path`, with common names in `language`.

    Raises:
        BundleError: it is absent, unreadable, truncated, no TorchScript, has no card or a card that cannot be read, is
            in a newer format, or has no names in that language.
    """
    with _archive(path) as archive:
        extras = _extras(archive)
        if CARD not in extras:
            raise BundleError(
                f"{path} is TorchScript but no bundle: it has no {CARD}; export it again with a card"
            )
        card = parse_card(_content(archive, extras[CARD], path, MOST_BYTES[CARD]), path)
        translations = {found[1] for name in extras if (found := LANGUAGE_FILE.fullmatch(name))}
        card = replace(card, languages=tuple(sorted({"en"} | translations)), has_range=RANGE_MODEL in extras)
        if language in translations:
            names = _names(
                _content(archive, extras[f"names/{language}.txt"], path, MOST_BYTES_OF_NAMES), path
            )
            if len(names) != len(card.labels):
                raise BundleError(
                    f"{path} has {len(names)} names in {language!r} for {len(card.labels)} labels; build it again"
                )
            labels = zip(card.labels, names, strict=True)
            return replace(card, labels=tuple(replace(label, common_name=name) for label, name in labels))
    if language != "en":
        raise BundleError(_unknown_language(path, language, card.languages))
    return card


def read_extra(path: Path, name: str) -> bytes | None:
    """The extra file `name` of the bundle at `path`; None when it has no such file.

    Raises:
        BundleError: the bundle is absent, unreadable, truncated, or no TorchScript.
    """
    with _archive(path) as archive:
        extras = _extras(archive)
        return (
            _content(archive, extras[name], path, MOST_BYTES.get(name, MOST_BYTES_OF_NAMES))
            if name in extras
            else None
        )


def refuse_reaching(path: Path, archive_in: IO[bytes] | None = None) -> None:
    """Refuse a bundle whose code asks for more than numbers; of `archive_in`, an archive inside it, where one is given.

    Raises:
        BundleError: it does, or it cannot be read.
    """
    with _archive(path) if archive_in is None else zipfile.ZipFile(archive_in) as archive:
        for member in archive.namelist():
            if member.endswith(".py"):
                asks = reaches_further(_content(archive, member, path, MOST_BYTES[CARD]))
                if asks:
                    raise BundleError(
                        f"{path} is no model to be trusted: its code {asks}, which no model has to; get one from "
                        "somebody whom you trust"
                    )


def card_json(card: Card) -> str:
    """The card as it is stored in a bundle."""
    content = TypeAdapter(Card).dump_python(card, mode="json")
    for told_by_files in ("languages", "has_range"):
        del content[told_by_files]
    for label in content["labels"]:
        del label["index"]
    for names in ("unranged", "sounds"):
        content[names] = sorted(content[names])
    return json.dumps({"format": FORMAT} | content, ensure_ascii=False)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The TorchScript archive at `path`, opened as the zip file that it is."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if not head:
                raise BundleError(f"{path} is empty; build or copy the bundle again")
            if not zipfile.is_zipfile(file):
                if head == b"PK\x03\x04":
                    raise BundleError(
                        f"{path} is truncated: its end is missing; build or copy the bundle again"
                    )
                raise BundleError(f"{path} is not TorchScript, so no model bundle; give the path of a bundle")
            with zipfile.ZipFile(file) as archive:
                if min((member.header_offset for member in archive.infolist()), default=0):
                    # What was found is the end of an archive inside this one (its range model).
                    raise BundleError(
                        f"{path} is truncated: its end is missing; build or copy the bundle again"
                    )
                if not any("/code/" in name for name in archive.namelist()):
                    raise BundleError(
                        f"{path} is not TorchScript, so no model bundle (a bare state dict has no network in it); "
                        "export it with torch.jit"
                    )
                yield archive
    except FileNotFoundError as error:
        raise BundleError(
            f"{path} does not exist; `birdwatchd model list` shows the bundles there are"
        ) from error
    except IsADirectoryError as error:
        raise BundleError(f"{path} is a folder; give the path of the bundle in it") from error
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror or error}); mend that or build it again"
        ) from error
    # The last three: a file inside it that is compressed in a way nobody knows, encrypted, or not what its header says.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise BundleError(f"{path} is damaged ({error}); build or copy the bundle again") from error


def _content(archive: zipfile.ZipFile, member: str, path: Path, most: int) -> bytes:
    """The file inside the archive. What its header says is what it unpacks to, or zipfile refuses it."""
    size = archive.getinfo(member).file_size
    if size > most:
        raise BundleError(
            f"{path} is no bundle to be trusted: its {member.rpartition('/')[2]} unpacks to {size:,} bytes; "
            "get it from somewhere else"
        )
    return archive.read(member)


def _names(content: bytes, path: Path) -> list[str]:
    try:
        names = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} has names that are not UTF-8; build it again") from error
    unfit = next((name for name in names if not is_name(name)), None)
    if unfit is not None:
        raise BundleError(
            f"{path} has the name '{plain_line(unfit)[:LONGEST_NAME]}', which is none; build it again"
        )
    return names


def is_name(name: str) -> bool:
    """Whether a label can be called so."""
    return 0 < len(name.strip()) <= len(name) <= LONGEST_NAME and is_plain_line(name)


def _extras(archive: zipfile.ZipFile) -> dict[str, str]:
    """Member names of the extra files, by the names they were given."""
    return {
        member.split("/extra/", 1)[1]: member for member in archive.namelist() if member.count("/extra/") == 1
    }


def parse_card(text: bytes, path: Path) -> Card:
    """What stands in the `card.json` of the bundle at `path`.

    Raises:
        BundleError: it is no card, or says what none can.
    """
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{path} has a {CARD} that is not JSON ({plain_line(str(error))}); export it again"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise BundleError(f"{path} has a {CARD} that does not say its format; export it again")
    if content.pop("format") > FORMAT:
        raise BundleError(
            f"{path} is in a newer format than this birdwatchd reads ({FORMAT}); update birdwatchd"
        )
    try:
        for index, label in enumerate(content.get("labels", ())):
            label["index"] = index
        card = TypeAdapter(Card).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = plain_line(".".join(str(part) for part in first["loc"]))[:LONGEST_NAME]
        raise BundleError(
            f"{path} has a {CARD} with a wrong {where!r} ({first['msg']}); export it again"
        ) from error
    except TypeError as error:
        raise BundleError(f"{path} has a {CARD} with labels that are no labels; export it again") from error
    if not card.labels or len({label.scientific_name for label in card.labels}) != len(card.labels):
        raise BundleError(f"{path} has a {CARD} with no labels, or with one label twice; export it again")
    _check_names(card, path)
    return card


def _check_names(card: Card, path: Path) -> None:
    names = (name for label in card.labels for name in (label.scientific_name, label.common_name))
    codes = (label.code for label in card.labels if label.code)
    unfit = next((name for name in (*names, *codes) if not is_name(name)), None)
    if unfit is not None:
        raise BundleError(
            f"{path} has a {CARD} with the label '{plain_line(unfit)[:LONGEST_NAME]}', which is no name: one line of "
            f"at most {LONGEST_NAME} characters, and no control characters; export it again"
        )


def _unknown_language(path: Path, language: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(language, known, n=1, cutoff=0.5)
    close = close or [name for name in known if name[:2] == language[:2]]
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{path} has no common names in {language!r}: {hint}it has {', '.join(known)}"
