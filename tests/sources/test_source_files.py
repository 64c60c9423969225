from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchkit._errors import UsageError
from batchkit._requests import GenerateVideo, TranscribeVideo
from batchkit.sources import (
    Row,
    read_prompts,
    to_request,
)


def rows_of(path: Path, content: str | bytes) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_prompts(path))


def refused(path: Path, content: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        rows_of(path, content)
    return str(caught.value)


def test_every_line_of_a_text_file_is_a_prompt(tmp_path: Path) -> None:
    path = tmp_path / "p.TXT"
    rows = rows_of(path, "\ufeffA cat\r\n\n # not special \n")
    assert [row.fields for row in rows] == [{"prompt": "A cat"}, {"prompt": "# not special"}]
    assert [row.where for row in rows] == [f"{path}, line 1", f"{path}, line 3"]
    assert rows_of(path, "") == []


def test_a_table_has_fields_and_metadata(tmp_path: Path) -> None:
    content = (
        "\ufeffPrompt, Seed ,duration,Title,priority,key,metadata,params,kind,\n"
        '"A cat, ""big""",7,4.5,T,2,k,"{""a"": 1}","{""b"": 2}",drone,note\n'
        "\n,,,,\nDog\n"
    )
    first, second = rows_of(tmp_path / "p.csv", content)
    assert first == Row(
        fields={"prompt": 'A cat, "big"', "seed": 7, "duration": 4.5, "params": {"b": 2}},
        metadata={"Title": "T", "a": 1, "kind": "drone"},
        key="k",
        priority=2,
        where=f"{tmp_path / 'p.csv'}, line 2",
    )
    assert (second.fields, second.metadata) == ({"prompt": "Dog"}, {})
    request, *rest = to_request(first, language="en")
    assert request == GenerateVideo(
        prompt='A cat, "big"', seed=7, duration=4.5, params={"b": 2}, language="en"
    )
    assert rest == [first.metadata, "k", 2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_of_a_table_is_found(tmp_path: Path, delimiter: str) -> None:
    content = f'"a;b,c"{delimiter}prompt\n1{delimiter}Cat\n'
    assert rows_of(tmp_path / "p.csv", content)[0].fields == {"prompt": "Cat"}


def test_a_cell_may_have_lines_and_the_next_row_its_number(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "p.csv", 'prompt\r\n"a\r\nb"\r\nc\r\n')
    assert [row.fields["prompt"] for row in rows] == ["a\r\nb", "c"]
    assert [row.where[-6:] for row in rows] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: the table needs a header with a column 'prompt'; it has nothing"),
        ("text,seed\nA,1\n", "line 1: .*it has 'text', 'seed'"),
        ("prompt,x,x\n", "line 1: two columns are named 'x'"),
        ("prompt\nA, b\n", "line 2: there are 2 cells and 1 columns: put a text"),
        ("prompt,seed\nA,1\n,2\n", "line 3: the prompt is empty"),
        ("prompt,seed\nA,x\n", "line 2: seed is 'x': give a whole number"),
        ('prompt\nA\n"B\n', "line 3: this is not CSV"),
        ('prompt\n"A" B\n', "line 2: this is not CSV"),
        ("prompt\n" + "x" * 200_000, "line 2: this is not CSV"),
        ("x" * 200_000, "line 1: this is not CSV"),
        (b"prompt\nA\n\xe3\n", "line 3: this is not UTF-8 .*: save the file as UTF-8"),
        ("prompt\nA\n".encode("utf-16"), "line 1: this is not UTF-8"),
    ],
)
def test_bad_tables_are_refused_with_their_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "p.csv"
    with pytest.raises(UsageError, match=message) as caught:
        rows_of(path, content)
    assert str(caught.value).startswith(f"{path}, line ")


@pytest.mark.parametrize("extension", ["jsonl", "ndjson"])
def test_lines_of_json_are_texts_or_objects(tmp_path: Path, extension: str) -> None:
    lines = [
        "A cat",
        {"prompt": "A dog", "key": "k", "x": 1},
        {"kind": "transcribe", "source": "a.mp4"},
    ]
    content = "\n\n".join(map(json.dumps, lines))
    rows = rows_of(tmp_path / f"p.{extension}", content)
    assert [to_request(row, language="pt") for row in rows] == [
        (GenerateVideo(prompt="A cat"), {}, None, 0),
        (GenerateVideo(prompt="A dog"), {"x": 1}, "k", 0),
        (TranscribeVideo(source="a.mp4"), {}, None, 0),
    ]
    assert rows[1].where == f"{tmp_path / 'p'}.{extension}, line 3"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ('{"prompt": "A", "duration": NaN}', "NaN is no JSON number"),
        ("5", "'5' is neither an object nor a string"),
        ('""', "the item is empty"),
        ('{"prompt": " "}', "prompt is empty: write one"),
        ('{"kind": "paint"}', "'paint' is no kind"),
        ('{"prompt": 5}', "prompt is 5: give a text"),
    ],
)
def test_bad_lines_of_json_are_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "p.jsonl"
    told = refused(path, f'"good"\n{line}\n')
    assert told.startswith(f"{path}, line 2: ")
    assert message in told


def test_files_are_read_as_they_go(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('"good"\n{\n')
    rows = read_prompts(path)
    assert next(rows).fields == {"prompt": "good"}
    with pytest.raises(UsageError):
        next(rows)


def test_what_is_no_file_of_prompts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*p\.txt"):
        read_prompts(tmp_path / "p.txt")
    with pytest.raises(UsageError, match="is a folder"):
        read_prompts(tmp_path)
    with pytest.raises(UsageError, match=r"use one of \.csv, \.jsonl, \.ndjson, \.txt"):
        read_prompts(tmp_path / "p.xlsx")
    (tmp_path / "p.txt").touch()

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match="cannot be read \\(Permission denied"):
        list(read_prompts(tmp_path / "p.txt"))
