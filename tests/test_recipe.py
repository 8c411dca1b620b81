"""Recipes: what is written is read, and what is wrong is named (about 2 s)."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyedge import errors, recipe, task
from pyedge.recipe import Recipe, RecipeError, Stage, markdown, parse, plain, read

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "examples" / "recipes").glob("*.toml"))
TABLES: dict[str, Any] = {
    f.name: type(f.default) for f in fields(Recipe) if hasattr(f.default, "__dataclass_fields__")
} | {"stages": Stage}
KEYS = [(table, f) for table, kind in TABLES.items() for f in fields(kind)]


def wrapped(table: str, values: dict[str, Any]) -> dict[str, Any]:
    return {table: [values] if table == "stages" else values}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_recipes_are_read_and_survive_a_round_trip(path: Path) -> None:
    found = read(path)
    assert parse(plain(found)) == found


@given(st.sampled_from(KEYS), st.data())
def test_a_mistyped_key_is_refused_and_the_nearest_one_named(
    entry: tuple[str, Any], data: st.DataObject
) -> None:
    table, f = entry
    at = data.draw(st.integers(0, len(f.name)))
    typed = f.name[:at] + "z" + f.name[at:]
    with pytest.raises(RecipeError, match=rf"{typed}: unknown key; did you mean '{f.name}'"):
        parse(wrapped(table, {typed: f.default}))


@given(st.sampled_from(KEYS))
def test_a_value_of_another_type_is_refused_by_its_key(entry: tuple[str, Any]) -> None:
    table, f = entry
    with pytest.raises(RecipeError, match=f.name):
        parse(wrapped(table, {f.name: {"a": "table"}}))


@given(st.sampled_from([(t, f) for t, f in KEYS if f.metadata["low"] is not None]))
def test_a_value_out_of_range_is_refused_by_its_key(entry: tuple[str, Any]) -> None:
    table, f = entry
    value = f.metadata["low"] - 1
    values = [value] if isinstance(f.default, tuple) else value
    with pytest.raises(RecipeError, match=rf"{f.name}.*: {value}.*possible"):
        parse(wrapped(table, {f.name: values}))


@given(st.sampled_from([(t, f) for t, f in KEYS if f.metadata["choices"]]), st.text(min_size=1))
def test_a_value_that_is_no_choice_is_refused_with_the_choices(entry: tuple[str, Any], text: str) -> None:
    table, f = entry
    if text in f.metadata["choices"]:
        return
    with pytest.raises(RecipeError, match=f"choose from {', '.join(f.metadata['choices'])}"):
        parse(wrapped(table, {f.name: text}))


def test_training_on_the_test_session_is_refused() -> None:
    with pytest.raises(RecipeError, match="which is the test"):
        parse({"stages": [{"people": "wearer", "sessions": [1, 3]}]})
    others = {"stages": [{"people": "others"}, {"people": "wearer"}]}  # of the others, every session
    parse(others)
    with pytest.raises(RecipeError, match="which is the test"):
        parse(others | {"data": {"test": "all"}})
    with pytest.raises(RecipeError, match="among the old sessions"):
        parse({"data": {"old_sessions": [1, 3]}})


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    for path, text in ((tmp_path / "none.toml", "does not exist"), (broken, "is not TOML")):
        with pytest.raises(RecipeError, match=rf"{path.name} {text}"):
            read(path)


def test_the_page_lists_every_key() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    assert markdown().rstrip() in page, "docs/recipes.md is behind pyedge.recipe.markdown()"
    assert all(f"`{f.name}`" in page for _, f in KEYS)
    assert recipe.markdown.__doc__


def test_a_scale_for_spikes_is_named_by_its_key() -> None:
    """The network's own text spoke of an "input scale" that no recipe has."""
    from pyedge.encode import EncoderConfig
    from pyedge.task import network_of

    wanted = parse({"encoder": {"kind": "delta"}, "network": {"input_scale": 64}})
    with pytest.raises(RecipeError, match=r"network\.input_scale: is 1 for the spikes of delta, not 64"):
        network_of(wanted, EncoderConfig("delta", hop=5, threshold=9), 5)


def test_what_is_no_recipe_file_is_named_once(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match=r"binary.toml is not a recipe: byte 8 is not UTF-8 text"):
        read(binary)
    with pytest.raises(RecipeError, match=f"{tmp_path} cannot be read: Is a directory; give a recipe's file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"network": {"steps": 1024}},
            r"no trial holds a window of 1024 steps of 5 samples.*longest has \d+",
        ),
        ({"cut": {"reaction": 9.0}}, r"no trial holds a window of 10 steps of 5 samples after 9\.0 s"),
        ({"data": {"new_session": 9}}, "there is no session 9; there are 1, 2, 3"),
        ({"data": {"old_sessions": [1, 7]}}, "there is no session 7"),
        ({"data": {"repetitions": 6}}, "take at most 5"),
    ],
)
def test_windows_and_tests_that_cannot_be_are_refused_before_training(
    table: dict[str, Any], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two were NumPy's errors, the others came after all epochs."""
    monkeypatch.setattr("pyedge.task.fit", lambda *_, **__: pytest.fail("trained in vain"))
    wanted = parse({"stages": [{"people": "wearer"}], **table})
    with pytest.raises(errors.PyEdgeError, match=text):
        task.train(wanted, tmp_path)
