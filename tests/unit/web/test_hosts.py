from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.errors import Refusal
from pyramid_pypi.settings import Settings
from pyramid_pypi.web.front import Hosts
from pyramid_pypi.web.refusals import HostMalformed


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("https://PyPI.example.org", "pypi.example.org"),
        ("https://pypi.example.org:8443/", "pypi.example.org:8443"),
        ("http://[2001:db8::1]:80", "[2001:db8::1]"),
    ],
)
def test_the_public_host_is_ours(public_url: str, host: str) -> None:
    Hosts(Settings(site_public_url=public_url)).check(host)


@given(host=st.text(max_size=30))
def test_nobody_else_is(host: str) -> None:
    hosts = Hosts(Settings())
    if host.partition(":")[0].lower().rstrip(".") in {"localhost", "127.0.0.1"}:
        return
    with pytest.raises(Refusal):
        hosts.check(host)


def test_any_still_means_a_host() -> None:
    hosts = Hosts(Settings(site_hosts=("*",)))
    hosts.check("anything.example")
    with pytest.raises(HostMalformed):
        hosts.check("a, b")
    for number in range(1000):
        hosts.check(f"host{number}.example")
    assert len(hosts._good) < 300
