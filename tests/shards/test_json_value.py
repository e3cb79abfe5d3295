"""Values of JSON by type: what is of another kind is refused by the path of its key."""

from collections.abc import Callable

import pytest

from shards.json_value import JsonError, JsonValue, parse_json

CONTENT = parse_json(
    '{"n": 3, "level": 0.5, "name": "x", "on": true, "none": null, "list": ["a", 1], "in": {"n": "y"}}'
)


def test_values_of_the_wanted_kind_are_read() -> None:
    assert (CONTENT.at("n").whole(), CONTENT.at("n").number(), CONTENT.at("level").number()) == (3, 3, 0.5)
    assert (CONTENT.at("name").text(), CONTENT.at("on").flag()) == ("x", True)
    assert [item.value for item in CONTENT.at("list").items()] == ["a", 1]
    assert list(CONTENT.at("in").fields()) == ["n"]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: CONTENT.at("in").at("n").whole(), r"in\.n is 'y', not a whole number"),
        (lambda: CONTENT.at("on").whole(), "on is True, not a whole number"),
        (lambda: CONTENT.at("on").number(), "on is True, not a number"),
        (lambda: JsonValue({"a": 10**400}).at("a").number(), "a is 1000.*, not a number"),
        (lambda: CONTENT.at("level").whole(), "level is 0.5, not a whole number"),
        (lambda: CONTENT.at("n").flag(), "n is 3, not true or false"),
        (lambda: CONTENT.at("none").text(), "none is None, not text"),
        (lambda: CONTENT.at("list").texts(), r"list\[1\] is 1, not text"),
        (lambda: CONTENT.at("name").items(), "name is 'x', not a list"),
        (lambda: CONTENT.at("list").fields(), "list is .*, not an object"),
        (lambda: CONTENT.at("in").at("m"), r"the key in\.m is missing"),
        (lambda: CONTENT.at("n").at("m"), "n is 3, not an object"),
        (lambda: CONTENT.nullable("m", JsonValue.text), "the key m is missing"),
        (lambda: JsonValue([]).optional("m", JsonValue.text), r"the whole is \[\], not an object"),
        (lambda: CONTENT.optional("n", JsonValue.text), "n is 3, not text"),
        (lambda: JsonValue({"a": "z" * 90}).at("a").whole(), r"a is 'z+\.\.\., not"),
        (lambda: parse_json(b'{"metric": "au'), "not JSON: "),
        (lambda: parse_json(b"\xff"), "not JSON: "),
        (lambda: parse_json("[" * 100_000), "not JSON: "),
    ],
)
def test_what_is_of_another_kind_is_refused_by_its_key(read: Callable[[], object], message: str) -> None:
    with pytest.raises(JsonError, match=message):
        read()


def test_a_value_may_be_missing_or_null_where_that_is_asked_for() -> None:
    assert [CONTENT.optional(key, JsonValue.text) for key in ("name", "none", "m")] == ["x", None, None]
    assert [CONTENT.nullable(key, JsonValue.text) for key in ("name", "none")] == ["x", None]


def test_a_path_is_followed_as_far_as_it_goes() -> None:
    assert CONTENT.find("in", "n") == JsonValue("y", "in.n")
    assert [CONTENT.find(*path) for path in (("in", "m"), ("n", "m"), ("none",), ("m", "n"))] == [None] * 4
