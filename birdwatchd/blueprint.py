"""A config together with its model's card: right in itself, and what each part of the daemon is made of. Nothing runs yet."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import structlog

from birdwatchd.audio.windows import LAG_SECONDS, Plan
from birdwatchd.config.clip_name import ClipName
from birdwatchd.config.zone import station_zone
from birdwatchd.detection.decider import Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere, SpeciesRange
from birdwatchd.hours import Hours
from birdwatchd.listening_hours import ListeningHours
from birdwatchd.model import catalog
from birdwatchd.model.bundle import read_card
from birdwatchd.model.classifier import Classifier
from birdwatchd.model.range_model import load_range_model
from birdwatchd.sun import Sky

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo
    from pathlib import Path

    from birdwatchd.audio.source import Source
    from birdwatchd.config import schema
    from birdwatchd.config.load import Loaded
    from birdwatchd.detection.species_range import Occurrence
    from birdwatchd.domain import Label
    from birdwatchd.model.bundle import Card
    from birdwatchd.trust import Trust

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What the daemon is built from, and built anew from after a reload."""

    config: schema.Config
    bundle: Path
    bundle_state: tuple[int, int, int]
    """Changes when another file takes its place."""
    card: Card

    @classmethod
    def draw(cls, loaded: Loaded) -> Self:
        """Hold a config that was read against the model that it names.

        Raises:
            UserError: there is no such model, or the two do not fit.
        """
        config = loaded.config
        bundle = catalog.find(config.model.bundle, config.model.sha256)
        card = read_card(bundle, config.language)
        loaded.refuse_unfit(card.input_seconds, card.labels)
        found = bundle.stat()
        return cls(config, bundle, (found.st_ino, found.st_size, found.st_mtime_ns), card)

    @property
    def model(self) -> str:
        """What detections call the model."""
        return f"{self.card.name}-{self.card.version}"

    @property
    def zone(self) -> tzinfo:
        """The station's own time."""
        return station_zone(self.config.location)

    @property
    def plan(self) -> Plan:
        """How time is divided."""
        config, card = self.config, self.card
        return Plan(config.window_seconds, config.hop_seconds, card.sample_rate, card.input_samples)

    @property
    def history_seconds(self) -> float:
        """The longest detection, until it is known to have ended, and the sound that actions want before and after it."""
        config, deciding = self.config, self.config.deciding
        wanted = [
            max((getattr(action, name, 0.0) for action in config.actions if action.enabled), default=0.0)
            for name in ("before_seconds", "after_seconds")
        ]
        return deciding.max_detection_seconds + deciding.hold_seconds + config.window_seconds + sum(wanted)

    @property
    def ring_seconds(self) -> float:
        """How much sound a source keeps in memory."""
        return self.history_seconds + LAG_SECONDS

    def classifier(self) -> Classifier:
        """The model, loaded and probed.

        Raises:
            UserError: it is no usable bundle, or its device is not to be had.
        """
        model = self.config.model
        return Classifier.load(
            self.bundle,
            device=model.device,
            precision=model.precision,
            inference_threads=model.inference_threads,
            batch_size=model.batch_size,
            language=self.config.language,
        )

    def rules(self) -> Rules:
        """When a label becomes a detection."""
        card = self.card
        return Rules(
            self.config.deciding,
            card.labels,
            card_thresholds=card.thresholds,
            unranged=card.unranged,
            sounds=card.sounds,
        )

    def occurrence(self) -> Occurrence:
        """The species range at the station, and a word about it when it is off."""
        place = self.config.location
        if not self.config.deciding.species_range.enabled:
            logger.info("species range is off", reason="deciding.species_range.enabled is false")
        elif place is None:
            logger.warning(
                "species range is off",
                reason="the config has no location: every species of the world may be reported",
            )
        elif not self.card.has_range:
            logger.warning("species range is off", reason=f"the model {self.card.name} has none")
        else:
            model = load_range_model(self.bundle, self.card)
            if model is not None:
                return SpeciesRange(model, place.latitude, place.longitude)
        return Nowhere()

    def source(
        self,
        source: schema.Source,
        wake_for: Callable[[str], None],
        *,
        first_sample: int = 0,
        patient: bool = False,
    ) -> Source:
        """One of the sources that the config describes, not started; its samples are counted from `first_sample` on.

        It calls `wake_for` when it has written, with its name. `patient` is one that waits where it cannot be opened yet.
        """
        wake = partial(wake_for, source.name)
        if source.kind == "microphone":
            from birdwatchd.audio.microphone import Microphone

            return Microphone(
                source,
                preferred_rate=self.card.sample_rate,
                ring_seconds=self.ring_seconds,
                wake=wake,
                first_sample=first_sample,
                patient=patient,
            )
        if source.kind == "stream":
            from birdwatchd.audio.stream import Stream

            return Stream(source, ring_seconds=self.ring_seconds, wake=wake, first_sample=first_sample)
        from birdwatchd.audio.recording import Recording

        return Recording(
            source,
            ring_seconds=self.ring_seconds,
            wake=wake,
            first_sample=first_sample,
            zone=self._named_zone,
        )

    def listening_hours(self, source: schema.Source) -> ListeningHours | None:
        """When a source is listened to; None is always."""
        spans = self.config.listening if source.listening is None else source.listening
        if not spans:
            return None
        place = self.config.location
        hours = Hours(spans, self.zone, Sky(place, self.zone) if place else None)
        # So long that a clip of what goes on when they end is as whole as any other.
        after = max((getattr(one, "after_seconds", 0.0) for one in self.config.actions), default=0.0)
        return ListeningHours(source.name, hours, after + self.config.window_seconds)

    def naming(self, source: schema.Source, run_id: str, trust: Trust) -> Naming:
        """What every detection of a source carries; `trust` judges the system clock."""
        return Naming(
            run_id,
            source.name,
            source.site or self.config.node,
            self.model,
            None if source.kind == "recording" else trust.is_set,  # a recording has its own time
            self._clip_path(source.name),
        )

    @property
    def _named_zone(self) -> tzinfo | None:
        """The zone that the config names; None is the machine's own."""
        place = self.config.location
        return zoneinfo.ZoneInfo(place.timezone) if place and place.timezone else None

    def _clip_path(self, source: str) -> Callable[[Label, datetime, str], str] | None:
        """What names the files of a source's detections; None when no clips are kept."""
        if not any(action.kind == "save_clip" and action.enabled for action in self.config.actions):
            return None
        template, zone = ClipName.parse(self.config.store.clip_name), self._named_zone

        def name(label: Label, start: datetime, identity: str) -> str:
            return template.render(label=label, source=source, start=start, identity=identity, zone=zone)

        return name
