"""What a training is told: typed settings from YAML, every one of them overridable on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULTS: dict[str, dict[str, Any]] = {
    # BirdNET takes nothing else. A head on so wide an embedding wants much dropout.
    "birdnet": {"sample_rate": 48000, "seconds": 3.0, "hop_seconds": 1.5, "dropout": 0.5},
    "cnn": {"sample_rate": 32000, "seconds": 6.0, "hop_seconds": 3.0},
    "resnet34": {"sample_rate": 32000, "seconds": 6.0, "hop_seconds": 3.0},
}
LEARNING_RATES = {"birdnet": 3e-3, "cnn": 1e-3, "resnet34": 1e-3}
WEIGHT_DECAYS = {"birdnet": 1.0}
"""A head on a wide embedding, which a few hundred clips could fit in many ways, is kept small."""
LEARNING_RATE_TUNED = 1e-4
"""A backbone that knows much already is moved little."""
MOST_SECONDS = 600.0


class Section(BaseModel):
    """Frozen, and without room for a misspelt key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class FrontEndSettings(Section):
    """The log-mel spectrogram of `cnn` and `resnet34`."""

    bands: PositiveInt = 64
    frame_seconds: PositiveFloat = 0.032
    hop_seconds: PositiveFloat = 0.01
    low_hz: NonNegativeFloat = 50.0
    high_hz: PositiveFloat = 14000.0
    """Taken down to half the sample rate where that is less."""


class AugmentSettings(Section):
    """What is done to a clip on the fly, so that no epoch sees it twice the same. Probabilities are per clip."""

    waveform: bool = True
    """Off: gain, shift, speed, noise, mixup and masks are all left out, and features are computed once and kept."""
    gain_db: NonNegativeFloat = 6.0
    """Gain is drawn from -gain_db to +gain_db."""
    shift: bool = True
    """Windows begin up to half a hop earlier or later; within a padded window the sound is moved."""
    speed: NonNegativeFloat = 0.0
    """Played up to so much faster or slower, and higher or lower with it: 0.2 is a fifth faster to a sixth slower."""
    noise: tuple[Path, ...] = ()
    """Sound files, or folders of them, that are mixed in: field ambience without the birds to be learnt."""
    noise_probability: float = Field(default=0.5, ge=0, le=1)
    coloured_probability: float = Field(default=0.2, ge=0, le=1)
    """Noise whose power falls with frequency as 1/f^x, x drawn from -1 (blue) to 2 (brown)."""
    snr_db: tuple[float, float] = (3.0, 30.0)
    """Signal to noise ratio, drawn evenly from this range."""
    mixup_probability: float = Field(default=0.3, ge=0, le=1)
    """Two clips are added, and both of their labels are there."""
    band_masks: NonNegativeInt = 2
    """SpecAugment: so many stripes of bands, and so many stretches of time, are hidden. BirdNET's spectrograms have no masks."""
    band_mask_width: PositiveInt = 8
    frame_masks: NonNegativeInt = 2
    frame_mask_seconds: PositiveFloat = 0.4
    copies: NonNegativeInt = 2
    """Where embeddings are computed once: how many augmented ones of each clip beside the plain one."""


class TrainingSettings(Section):
    """How long, how fast, and when to stop."""

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 32
    """Over all processes together."""
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2
    warmup_epochs: NonNegativeFloat = 2.0
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    balanced: bool = True
    """Every label is drawn equally often, and within a label every recording."""
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the exponential moving average of the weights, which is what is validated and kept. 0: none."""
    patience: PositiveInt = 15
    """Epochs after the one that is kept, in which none is better than it (`validate.Best` says what that is), before it stops."""
    clip_gradient: PositiveFloat = 5.0
    freeze_batch_norm: bool = False
    mixed_precision: bool = True
    """bfloat16 on CUDA, and on processors that are quicker with it; the front end and the loss stay in full precision."""
    seed: NonNegativeInt = 0
    max_steps: PositiveInt | None = None
    """Stop after so many steps, whatever else is said."""


class Settings(Section):
    """One training, whole. It is kept in the checkpoint."""

    network: Literal["birdnet", "cnn", "resnet34"] = "birdnet"
    bundle: str = "birdnet"
    """Name or path of the bundle whose backbone `birdnet` takes."""
    fine_tune: bool = False
    """Train the backbone too, not the head alone."""
    octaves: tuple[Literal[-1, 0, 1, 2], ...] = (0,)
    """At which pitches BirdNET hears each window: 1 is an octave up and twice as fast, -1 an octave down. Each costs the work
    of one window, -1 of two."""
    members: PositiveInt = 1
    """So many networks of the kind side by side, each of which learns by itself; the mean of their logits is scored."""
    hidden: NonNegativeInt = 0
    """Width of a hidden layer in the head; 0: none."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    score: Literal["sigmoid", "softmax"] = "sigmoid"
    sample_rate: PositiveInt
    seconds: PositiveFloat
    """Length of what the network takes at once."""
    hop_seconds: PositiveFloat
    """From one window of a recording to the next."""
    test_fold: int | None = None
    """This fold of the manifest is left out altogether."""
    validation_fold: int | None = None
    """This fold of the manifest is what the training is validated on."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    front_end: FrontEndSettings = FrontEndSettings()
    augment: AugmentSettings = AugmentSettings()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="before")
    @classmethod
    def _fill_in_by_network(cls, settings: Any) -> Any:
        """Rate, length, dropout, learning rate and weight decay have the network's defaults."""
        if not isinstance(settings, dict):
            return settings
        network = settings.get("network", "birdnet")
        training = settings.get("training") or {}
        if isinstance(training, dict):
            rate = (
                LEARNING_RATE_TUNED if settings.get("fine_tune") else LEARNING_RATES.get(str(network), 1e-3)
            )
            decay = 1e-2 if settings.get("fine_tune") else WEIGHT_DECAYS.get(str(network), 1e-2)
            settings = {
                **settings,
                "training": {"learning_rate": rate, "weight_decay": decay, **training},
            }
        return {**DEFAULTS.get(str(network), DEFAULTS["cnn"]), **settings}

    @model_validator(mode="after")
    def _fits_the_backbone(self) -> Settings:
        fixed = DEFAULTS["birdnet"]
        if self.network == "birdnet" and (self.sample_rate, self.seconds) != (
            fixed["sample_rate"],
            fixed["seconds"],
        ):
            raise ValueError("the network birdnet takes 3 s at 48000 Hz and nothing else: leave both out")
        if not self.octaves or len(set(self.octaves)) < len(self.octaves):
            raise ValueError("octaves names each pitch once, and at least one: [0] is as it was recorded")
        if self.network != "birdnet" and self.octaves != (0,):
            raise ValueError("octaves are for the network birdnet: leave them out")
        if self.network == "birdnet" and self.members > 1:
            raise ValueError("members are networks of one's own: birdnet has one backbone, leave members out")
        low, high = self.augment.snr_db
        if low > high:
            raise ValueError(f"augment.snr_db begins at {low:g} and ends at {high:g}: the lower comes first")
        return self

    @property
    def input_samples(self) -> int:
        """Samples that the network takes at once."""
        return round(self.seconds * self.sample_rate)


def load_settings(path: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """The settings in the YAML file at `path` (None: all defaults), with `overrides` such as `training.epochs=5`.

    Raises:
        UserError: the file cannot be read, or a setting is unknown or wrong.
    """
    content: Any = {}
    if path is not None:
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror or error}): name a file of settings"
            ) from error
        except (
            yaml.YAMLError,
            ValueError,
            RecursionError,
        ) as error:  # a number of 5000 digits is a ValueError
            reason = " ".join(str(error).split())
            raise UserError(f"{path} is not YAML ({reason}): mend it") from error
        if not isinstance(content, dict):
            raise UserError(f"{path} holds no settings: write lines such as `network: cnn`")
    for override in overrides:
        _put(content, override)
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise UserError(_sentence(error, path)) from error
    if impossible := _impossible(settings):
        raise UserError(f"{_where(path)}{impossible}")
    return settings


def _impossible(settings: Settings) -> str:
    """Why nothing can be computed with these settings; empty where it can. Not asked of checkpoints, which were."""
    front_end, rate = settings.front_end, settings.sample_rate
    lengths = {"seconds": settings.seconds, "hop_seconds": settings.hop_seconds}
    if settings.network != "birdnet":
        lengths["front_end.frame_seconds"] = front_end.frame_seconds
        lengths["front_end.hop_seconds"] = front_end.hop_seconds
    for name, seconds in lengths.items():
        if round(seconds * rate) < 1:
            return f"{name}: {seconds:g} s are less than one sample at {rate} Hz: say more"
    if settings.seconds > MOST_SECONDS:
        return f"seconds: {settings.seconds:g} are more than the {MOST_SECONDS:g} that a network may take at once: say less"
    if settings.network == "birdnet":
        return ""
    if round(front_end.frame_seconds * rate) // 2 >= settings.input_samples:
        return f"front_end.frame_seconds: {front_end.frame_seconds:g} are too many for clips of {settings.seconds:g} s: say less"
    if front_end.low_hz >= min(front_end.high_hz, rate / 2):
        return (
            f"front_end.low_hz: {front_end.low_hz:g} Hz is not below front_end.high_hz, {front_end.high_hz:g} Hz, and half the "
            f"sample rate, {rate / 2:g} Hz: say less"
        )
    return ""


def _put(content: dict[str, Any], override: str) -> None:
    """Write one `a.b=c` into the nested `content`."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"--set {override!r} is no setting: write it as name=value, such as training.epochs=5"
        )
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UserError(f"--set {override!r}: {section} has no settings in it")
        content = inner
    try:
        content[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"--set {override!r}: the value is not YAML; put it in quotes") from error


def _sentence(error: ValidationError, path: Path | None) -> str:
    """All mistakes, in one line each."""
    where = _where(path)
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{where}there is no setting {key}; see `birdwatchd-train fit --settings`")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{where}{key}: {message}" if key else f"{where}{message}")
    return "\n".join(lines)


def _where(path: Path | None) -> str:
    return f"{path}: " if path else "settings: "


def settings_yaml(settings: Settings) -> str:
    """All settings as YAML that `load_settings` reads."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
