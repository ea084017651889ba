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
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from birdwatchd.domain import Label  # noqa: TC001 - pydantic reads it when it validates a card
from birdwatchd.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
CARD = "card.json"
RANGE_MODEL = "range_model.pt"


@dataclass(frozen=True, slots=True)
class Card:
    """What a bundle says of itself."""

    name: str
    version: str
    labels: tuple[Label, ...]
    sample_rate: PositiveInt
    input_seconds: PositiveFloat
    thresholds: dict[str, float]
    """By scientific name; for labels that want another threshold than the rest."""
    licence: str
    created: str = ""
    """When it was made, UTC, as ISO 8601."""
    score: str = "sigmoid"
    calibrated_to: str = ""
    """What the thresholds were calibrated to, in words."""
    embedding_dims: NonNegativeInt = 0
    """Width of what `embed` returns; 0 when there is no `embed`."""
    trained_on: tuple[dict[str, str | int], ...] = ()
    """Data sets, each with name, licence, clips."""
    metrics: dict[str, float] = field(default_factory=dict)
    attribution: str = ""
    """Whom to name, where the licence asks for it."""
    source: str = ""
    """Where the weights come from."""
    source_sha256: str = ""
    probes: dict[str, dict[int, float]] = field(default_factory=dict)
    """The five best scores of each probe segment when it was made: probe name, then label index."""
    unranged: frozenset[str] = frozenset()
    """Scientific names of labels that the range model cannot judge: sounds, frogs, insects, mammals."""
    sounds: frozenset[str] = frozenset()
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
        card = _parse(archive.read(extras[CARD]), path)
        translations = {
            name.removeprefix("names/").removesuffix(".txt") for name in extras if name.startswith("names/")
        }
        card = replace(card, languages=tuple(sorted({"en"} | translations)), has_range=RANGE_MODEL in extras)
        if language in translations:
            names = archive.read(extras[f"names/{language}.txt"]).decode().splitlines()
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
        return archive.read(extras[name]) if name in extras else None


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
    except (zipfile.BadZipFile, EOFError) as error:
        raise BundleError(f"{path} is damaged ({error}); build or copy the bundle again") from error


def _extras(archive: zipfile.ZipFile) -> dict[str, str]:
    """Member names of the extra files, by the names they were given."""
    return {
        member.split("/extra/", 1)[1]: member for member in archive.namelist() if member.count("/extra/") == 1
    }


def _parse(text: bytes, path: Path) -> Card:
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise BundleError(f"{path} has a {CARD} that is not JSON ({error}); export it again") from error
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
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{path} has a {CARD} with a wrong {where!r} ({first['msg']}); export it again"
        ) from error
    except TypeError as error:
        raise BundleError(f"{path} has a {CARD} with labels that are no labels; export it again") from error
    if not card.labels or len({label.scientific_name for label in card.labels}) != len(card.labels):
        raise BundleError(f"{path} has a {CARD} with no labels, or with one label twice; export it again")
    return card


def _unknown_language(path: Path, language: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(language, known, n=1, cutoff=0.5)
    close = close or [name for name in known if name[:2] == language[:2]]
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{path} has no common names in {language!r}: {hint}it has {', '.join(known)}"
