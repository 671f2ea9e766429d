"""Every bad upload is refused with its code, every odd one passes, nothing else happens."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats import core_metadata
from pyramid_pypi.upload.checks import check_form_requirements
from pyramid_pypi.upload.inspection import inspect
from pyramid_pypi.upload.refusals import MetadataMismatch
from pyramid_pypi.upload.values import Inspected, Limits, Spooled
from pyramid_pypi.values.digests import Digester
from tests.bad_uploads import SDIST, WHEEL
from tests.distributions import metadata, sdist, wheel
from tests.hostile import BAD_UPLOADS, GOOD_UPLOADS, BadUpload, GoodUpload

MAX_CPU_SECONDS = 2.0
MAX_GROWTH_KIB = 100 * 1024


def inspected(
    content: bytes, filename: str, form: Mapping[str, str], limits: Limits | None = None
) -> Inspected:
    digester = Digester()
    digester.update(content)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        spooled = Spooled(Path(file.name), filename, digester.digests())
        fields = {name: (value,) for name, value in form.items()}
        return inspect(spooled, fields, limits or Limits())


@pytest.mark.parametrize("bad", BAD_UPLOADS, ids=lambda bad: f"{bad.family}: {bad.label}")
def test_bad_upload_is_refused_with_its_code(bad: BadUpload) -> None:
    with pytest.raises(Refusal) as refused:
        inspected(bad.content(), bad.filename, bad.form)
    assert refused.value.code == bad.code
    assert refused.value.sentence.isascii()
    assert refused.value.sentence.isprintable()
    assert len(refused.value.sentence) < 1000


@pytest.mark.parametrize("good", GOOD_UPLOADS, ids=lambda good: good.label)
def test_odd_upload_passes(good: GoodUpload) -> None:
    found = inspected(good.content(), good.filename, good.form)
    assert str(found.version) == good.form["version"]
    assert found.filename == good.filename


def test_tables_cover_each_family_and_repeat_nothing() -> None:
    labels = [(bad.family, bad.label, bad.filename) for bad in BAD_UPLOADS]
    assert len(set(labels)) == len(BAD_UPLOADS)
    assert {bad.family for bad in BAD_UPLOADS} == {"U3", "U6", "U7", "U8", "U9", "U10", "form"}
    assert len({good.filename for good in GOOD_UPLOADS}) == len(GOOD_UPLOADS)


def test_wheel_is_told_by_its_own_metadata() -> None:
    content = wheel("De.mo", "1.0.0", metadata_lines=["Requires-Dist: attrs"])
    found = inspected(content, "de_mo-1.0-py2.py3-none-any.whl", {"name": "DE--MO"})
    assert found.name == "de-mo"
    assert found.display_name == "De.mo"
    assert found.packagetype == "bdist_wheel"
    assert found.python_tag == "py2.py3"
    assert found.metadata.requires_dist == ("attrs",)
    assert found.metadata_bytes == metadata("De.mo", "1.0.0", ["Requires-Dist: attrs"])
    assert found.digests.size_bytes == len(content)


def test_sdist_has_no_metadata_bytes() -> None:
    found = inspected(sdist(), SDIST, {"filetype": "sdist", "protocol_version": "1"})
    assert found.packagetype == "sdist"
    assert found.python_tag == "source"
    assert found.metadata_bytes is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("demo-1.0-py2.py3-none-any.whl", "Demo-1-py3.py2-none-any.whl"),
        ("demo-1.0-1-py3-none-any.whl", "demo-1.0.0-01-py3-none-any.whl"),
    ],
)
def test_two_spellings_of_a_wheel_have_one_key(one: str, other: str) -> None:
    assert (
        inspected(wheel(), one, {}).filename_key == inspected(wheel(), other, {}).filename_key
    )


def test_sdists_of_a_version_have_one_key() -> None:
    one = inspected(sdist(), "demo-1.0.tar.gz", {})
    other = inspected(sdist(), "Demo-1.0.0.tar.gz", {})
    assert one.filename_key == other.filename_key


def test_build_numbers_tell_wheels_apart() -> None:
    one = inspected(wheel(), "demo-1.0-1-py3-none-any.whl", {})
    assert (
        one.filename_key != inspected(wheel(), "demo-1.0-2-py3-none-any.whl", {}).filename_key
    )


def test_form_may_repeat_digests_in_any_case() -> None:
    digester = Digester()
    digester.update(wheel())
    form = {"sha256_digest": digester.digests().sha256.upper(), "md5_digest": ""}
    assert inspected(wheel(), WHEEL, form).name == "demo"


def test_form_may_repeat_requirements_in_another_spelling() -> None:
    content = wheel(metadata_lines=["Requires-Dist: attrs (>=20,<30)"])
    assert inspected(content, WHEEL, {"requires_dist": "attrs<30,>=20"}).name == "demo"


def test_a_form_of_many_long_requirements_costs_little() -> None:
    marker = " and ".join(["os_name == 'a'"] * 150)
    form = {"requires_dist": tuple(f"p{number}; {marker}" for number in range(5900))}
    metadata_found = core_metadata.parse(metadata(lines=["Requires-Dist: attrs"]))
    began_s = time.process_time()
    with pytest.raises(MetadataMismatch):
        check_form_requirements(form, metadata_found)
    assert time.process_time() - began_s < 1


def test_field_given_twice_is_refused() -> None:
    digester = Digester()
    digester.update(wheel())
    spooled = Spooled(Path("never read"), WHEEL, digester.digests())
    with pytest.raises(Refusal, match="protocol_version") as refused:
        inspect(spooled, {"protocol_version": ("1", "1")}, Limits())
    assert refused.value.code == "upload.form-invalid"


def test_limits_are_kept() -> None:
    content = wheel(extra_members={"zeros.bin": bytes(100_000)})
    assert inspected(content, WHEEL, {}).name == "demo"
    for limits, code in (
        (Limits(max_file_bytes=100), "upload.too-large"),
        (Limits(max_unpacked_bytes=50_000), "upload.zip-bomb"),
        (Limits(ratio_floor_bytes=1000), "upload.zip-bomb"),
        (Limits(max_members=3), "upload.too-many-members"),
        (Limits(max_path_chars=10), "upload.member-name"),
    ):
        with pytest.raises(Refusal) as refused:
            inspected(content, WHEEL, {}, limits)
        assert refused.value.code == code


@settings(max_examples=300, deadline=None)
@given(
    which=st.sampled_from(("wheel", "sdist", "tar", "METADATA", "RECORD")),
    seed=st.integers(0, 2**32),
)
def test_damaged_file_is_refused_or_passes(which: str, seed: int) -> None:
    content = _damaged(which, random.Random(seed))
    try:
        inspected(content, SDIST if which in ("sdist", "tar") else WHEEL, {})
    except Refusal as refusal:
        assert refusal.code != "refused"  # noqa: PT017


def _damaged(which: str, chance: random.Random) -> bytes:
    from tests.archives import gzipped
    from tests.distributions import sdist_tar

    if which == "wheel":
        return _mutated(wheel(), chance)
    if which == "sdist":
        return _mutated(sdist(), chance)
    if which == "tar":
        return gzipped(_mutated(sdist_tar(), chance))
    if which == "METADATA":
        lines = [
            "Requires-Dist: attrs>=2; extra == 'a'",
            "Project-URL: Home, https://a.example/",
        ]
        return wheel(replace={"METADATA": _mutated(metadata(lines=lines), chance)})
    return wheel(
        record=lambda rows: (
            _mutated("\n".join(rows).encode(), chance).decode("latin-1").split("\n")
        )
    )


def _mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice((0, 10, 13, 32, 44, 58, 255, chance.randrange(256)))
        elif kind == 2:
            del changed[at : at + chance.randint(1, 40)]
        else:
            changed[at:at] = changed[at : at + chance.randint(1, 40)]
        if not changed:
            return b""
    return bytes(changed)


def test_every_bad_upload_stays_within_its_bounds(tmp_path: Path) -> None:
    """One process inspects them all; the highest water mark is that of the worst."""
    for number, bad in enumerate(BAD_UPLOADS):
        (tmp_path / str(number)).write_bytes(bad.content())
    rows = [(bad.filename, bad.form, bad.label) for bad in BAD_UPLOADS]
    script = Path(__file__).with_name("measure.py")
    run = subprocess.run(
        [sys.executable, "-I", str(script), str(tmp_path)],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["refused"] == len(BAD_UPLOADS)
    assert report["worst_cpu_seconds"] < MAX_CPU_SECONDS, report
    assert report["growth_kib"] < MAX_GROWTH_KIB, report
