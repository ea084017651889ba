"""What the `mqtt` action has in the config."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from birdwatchd.config.kinds import FilePath, Name, Numeric, Seconds, SomeText, Takes, refusal
from birdwatchd.config.strict import Strict
from birdwatchd.config.trigger import ActionConfig

PLAIN_PORT = 1883
TLS_PORT = 8883


def _host(host: str) -> str:
    if "://" in host or "/" in host or "@" in host or host != host.strip():
        raise refusal("the name or address of a host", "write the port and the password in their own lines")
    try:
        host.encode("idna")
    except UnicodeError:
        raise refusal("the name or address of a host") from None
    return host


def _topic(topic: str) -> str:
    if set("#+\0") & set(topic):
        raise refusal("a topic", "it cannot hold `#` or `+`")
    if topic.startswith(("/", "$")) or topic.endswith("/"):
        raise refusal("a topic", "it cannot begin with `/` or `$`, nor end with `/`")
    return topic


def _version(version: object) -> object:
    return str(version) if isinstance(version, int | float) else version


Host = Annotated[SomeText, AfterValidator(_host), Takes("the name or address of a host")]
Topic = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_topic), Takes("a topic")]


class Tls(Strict):
    """An encrypted connection. `tls: {}` trusts what the system trusts."""

    ca: FilePath | None = None
    """Certificate (PEM) of the authority that signed the broker's; the system's authorities when left out."""
    certificate: FilePath | None = None
    """The station's own certificate (PEM), for brokers that ask for one."""
    key: FilePath | None = None
    """Its private key; left out when the certificate's file holds it too."""
    minimum_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_version)] = "1.2"
    """The oldest TLS that is spoken."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Tls:
        if self.key is not None and self.certificate is None:
            raise refusal("a section with `certificate`", "a `key` alone proves nothing")
        return self


class Discovery(Strict):
    """Home Assistant finds the station and its sources by itself."""

    enabled: bool = True
    """Off removes what had been announced."""
    prefix: Topic = "homeassistant"
    """Where Home Assistant looks."""


class MqttConfig(ActionConfig):
    """Publish each detection to an MQTT broker, in the shape that birdnet-go's subscribers know."""

    host: Host = "localhost"
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535), Numeric] | None = None
    """1883, or 8883 with `tls`, when left out."""
    tls: Tls | None = None
    """Encrypts the connection."""
    username: SomeText | None = None
    """User at the broker."""
    password: SecretStr | None = None
    """Its password; `${NAME}` is replaced from the environment, so that it need not stand here."""
    password_credential: Name | None = None
    """The systemd credential (`LoadCredential=NAME:…`) that holds the password, instead of `password`."""
    protocol: Annotated[Literal["5", "3.1.1"], BeforeValidator(_version)] = "5"
    """Version of MQTT."""
    client_id: SomeText | None = None
    """Has to differ from every other client's; `birdwatchd-NODE-ACTION` when left out."""
    keepalive_seconds: Annotated[int, Field(ge=5, le=3600), Numeric] = 30
    """After so long without a word from the broker the connection counts as lost."""
    base_topic: Topic | None = None
    """Where everything is published below; `birdwatchd/NODE` when left out."""
    ended: bool = False
    """Publish a detection a second time, at `BASE/ended`, when it has ended."""
    species_topics: bool = False
    """Publish a detection at `BASE/species/…` too."""
    late_seconds: Seconds = 60.0
    """A message that goes out so long after the sound is marked `late`, and kept off the source's own topic."""
    catch_up_per_second: Annotated[float, Field(ge=1, le=10000), Numeric] = 1000.0
    """So many late detections are sent in a second at most."""
    discovery: Discovery = Discovery.as_it_is()
    """Home Assistant's MQTT discovery."""

    @model_validator(mode="before")
    @classmethod
    def _empty_tls_is_tls(cls, settings: Any) -> Any:
        """`tls:` with all its lines commented out must not mean no encryption."""
        if isinstance(settings, dict) and "tls" in settings and settings["tls"] is None:
            return {**settings, "tls": {}}
        return settings

    @model_validator(mode="after")
    def _password_has_user(self) -> MqttConfig:
        if self.password is not None and self.password_credential is not None:
            raise refusal("a section with one password", "take out `password` or `password_credential`")
        if self.username is None and (self.password is not None or self.password_credential is not None):
            raise refusal("a section with `username`", "a password belongs to a user")
        return self

    @property
    def states(self) -> frozenset[str]:
        """The states of a detection that are published."""
        return frozenset({self.on, "ended"} if self.ended else {self.on})

    @property
    def port_number(self) -> int:
        """The port, also where the config leaves it out."""
        return self.port or (PLAIN_PORT if self.tls is None else TLS_PORT)

    def base_for(self, node: str) -> str:
        """The topic that everything is published below."""
        return self.base_topic or f"birdwatchd/{node}"

    def client_id_for(self, node: str) -> str:
        """What the client calls itself at the broker."""
        return self.client_id or f"birdwatchd-{node}-{self.name}"
