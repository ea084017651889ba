"""Whatever stands in a file, it is a Config or a ConfigError that says where: never anything else, never a hang."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from birdwatchd.config.load import Loaded, load
from birdwatchd.config.schema import Config
from birdwatchd.domain import Label
from birdwatchd.errors import ConfigError

LABELS = [Label(0, "Parus major", "Great Tit"), Label(1, "Human vocal", "Human vocal")]
SETTINGS = sorted(
    {
        name
        for section in [Config.model_json_schema(), *Config.model_json_schema()["$defs"].values()]
        for name in section["properties"]
    }
)
KEYS = st.sampled_from(SETTINGS) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(
        ["${HOME}", "${", "$$", "~", "~x/y", "\0", "microphone", "auto", "mix", "Parus *", "1e3", "-1"]
    )
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.integers() | st.booleans(), inner, max_size=6)
    ),
    max_leaves=25,
)
SECTIONS = ["location", "model", "deciding", "store", "log"]


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[Any, Any]:
    """A config in which some settings are something else than they should be."""
    tree: dict[Any, Any] = {"sources": [{"kind": "microphone", "name": "a"}]}
    for section in draw(st.lists(st.sampled_from(SECTIONS), max_size=3)):
        tree[section] = draw(st.dictionaries(KEYS, TREES, max_size=4))
    for source in draw(st.lists(st.dictionaries(KEYS, SCALARS, max_size=5), max_size=2)):
        kind = draw(st.sampled_from(["microphone", "stream", "recording"]))
        tree["sources"].append({"kind": kind, "name": "b", "url": "u", "path": "p"} | source)
    return tree | draw(st.dictionaries(KEYS, TREES, max_size=2))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "config.yaml"


def outcome(path: Path, content: bytes) -> Loaded | None:
    """What is read; None when it is refused, in lines that say where and hold nothing of the environment."""
    path.write_bytes(content)
    try:
        loaded = load(path, {"HOME": "/home/secret"})
        loaded.refuse_unfit(3.0, LABELS)
    except ConfigError as error:
        said = str(error)
    else:
        return loaded
    assert said
    assert all(line.startswith((str(path), "… and")) for line in said.split("\n"))
    assert said.replace("\n", "").isprintable()
    assert "/home/secret" not in said
    return None


hostile = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@hostile
@given(tree=TREES)
def test_any_tree(path: Path, tree: Any) -> None:
    outcome(path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@hostile
@given(tree=nearly_right())
@example(tree={"sources": [{"kind": "microphone", "name": "a"}]})
def test_nearly_right(path: Path, tree: dict[Any, Any]) -> None:
    loaded = outcome(path, yaml.safe_dump(tree, sort_keys=False).encode())
    if loaded is not None:
        assert set(tree) <= set(Config.model_fields)


@hostile
@given(text=st.text(alphabet=st.sampled_from("ab:- \n\t\"'[]{}&*!|>#%@`,?<0.~$"), max_size=60))
def test_text_made_of_what_yaml_gives_a_meaning(path: Path, text: str) -> None:
    outcome(path, text.encode())


@hostile
@given(content=st.binary(max_size=60))
def test_any_bytes(path: Path, content: bytes) -> None:
    outcome(path, content)


@hostile
@given(data=st.data())
def test_the_default_config_with_a_piece_replaced(path: Path, data: st.DataObject) -> None:
    text = (Path(__file__).parents[3] / "config.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    piece = data.draw(
        st.text(max_size=8) | st.sampled_from(["\t", ": ", "- ", "&a ", "*a", "<<: ", "\n", "# "])
    )
    outcome(path, (text[:start] + piece + text[stop:]).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("site", ['"a\\e[2Jb"', '"a\\nb"', '"a\\u202eb"'])
def test_a_site_that_would_act_on_a_terminal_is_refused(path: Path, site: str) -> None:
    assert outcome(path, f"sources: [{{kind: microphone, name: a, site: {site}}}]\n".encode()) is None
    assert outcome(path, b'sources: [{kind: microphone, name: a, site: "Am Bach, 2. Stock"}]\n') is not None
