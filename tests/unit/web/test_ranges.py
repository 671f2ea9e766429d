from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.web import ranges

CONTENT = bytes(range(100))


@given(header=st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}(,[0-9]+-)?", fullmatch=True))
def test_a_range_is_within_the_file(header: str) -> None:
    try:
        wanted = ranges.asked(header, len(CONTENT))
    except ranges.OutOfRange:
        return
    if wanted is not None:
        first, last = wanted
        assert 0 <= first <= last < len(CONTENT)


@given(header=st.text(max_size=30), size=st.integers(0, 5))
def test_nonsense_is_the_whole_or_nothing(header: str, size: int) -> None:
    assert ranges.asked(header, size) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_an_empty_file_has_no_ranges(header: str) -> None:
    with pytest.raises(ranges.OutOfRange):
        ranges.asked(header, 0)


@given(header=st.text(max_size=40))
def test_if_range_never_fails(header: str) -> None:
    assert ranges.still_holds(header, '"a"', 1) is (header.strip() == '"a"')
