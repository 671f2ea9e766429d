from __future__ import annotations

import pytest

from pyramid_pypi.values.names import confusable, is_normalized, is_valid, normalize


@pytest.mark.parametrize("spelling", ["Zope.Interface", "zope-interface", "ZOPE__interface"])
def test_all_spellings_are_one_name(spelling: str) -> None:
    assert normalize(spelling) == "zope-interface"


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a b", "a\n", "\u017f", "a/b", "é", "a" * 129]
)
def test_names_no_project_may_have(name: str) -> None:
    assert not is_valid(name)


@pytest.mark.parametrize("name", ["A", "a--b", "a_b", "a.b", "-a"])
def test_spellings_that_are_not_the_normal_one(name: str) -> None:
    assert not is_normalized(name)


@pytest.mark.parametrize("name", ["f1ask", "fl-ask", "f.l.a.s.k", "FIask", "flask"])
def test_confusable_names_meet(name: str) -> None:
    assert confusable(name) == confusable("flask")


def test_other_names_do_not_meet() -> None:
    assert confusable("flask") != confusable("flasks")
