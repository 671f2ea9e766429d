from __future__ import annotations

import json

from pyramid_pypi.formats.canonical import encode, json_document, printable


def test_keys_are_sorted_and_nothing_is_added_but_a_newline() -> None:
    assert json_document({"b": [1, None], "a": {"ü": True, "_": "é"}}) == (
        '{"a":{"_":"é","ü":true},"b":[1,null]}\n'.encode()
    )


def test_it_writes_what_the_standard_library_writes() -> None:
    value = {"text": "".join(map(chr, range(300))) + "\u2028\U0001f40d</script>"}
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert encode(value) == expected.encode()


def test_text_that_utf8_cannot_carry_is_replaced() -> None:
    value = {"\ud800": ["a\udfffb", {"c": ("\ud800",)}, 1]}

    assert json.loads(json_document(value)) == {"\ufffd": ["a\ufffdb", {"c": ["\ufffd"]}, 1]}


def test_printable_keeps_all_that_xml_carries() -> None:
    assert (
        printable("a\t\n\r\x00\x1b\ufffe\x85é\U0001f40d")
        == "a\t\n\r\ufffd\ufffd\ufffd\x85é\U0001f40d"
    )
