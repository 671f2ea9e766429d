from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from pyramid_pypi.values.versions import sort_key

NUMBERS = st.integers(0, 10**12)


@st.composite
def versions(draw: st.DrawFn) -> Version:
    text = f"{draw(st.sampled_from(['', '1!', '12!']))}"
    text += ".".join(map(str, draw(st.lists(st.integers(0, 120), min_size=1, max_size=4))))
    if draw(st.booleans()):
        text += draw(st.sampled_from(["a", "b", "rc"])) + str(draw(st.integers(0, 12)))
    if draw(st.booleans()):
        text += f".post{draw(st.integers(0, 12))}"
    if draw(st.booleans()):
        text += f".dev{draw(NUMBERS)}"
    if draw(st.booleans()):
        parts = st.one_of(st.sampled_from(["a", "ab", "abc", "1a", "b"]), NUMBERS.map(str))
        text += "+" + ".".join(draw(st.lists(parts, min_size=1, max_size=3)))
    return Version(text)


@given(versions(), versions())
def test_keys_sort_as_pep_440_orders(one: Version, other: Version) -> None:
    assert (sort_key(one) < sort_key(other)) == (one < other)
    assert (sort_key(one) == sort_key(other)) == (one == other)
