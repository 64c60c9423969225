from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit._errors import UsageError
from batchkit.sources import (
    MEDIA_EXTENSIONS,
    clean_prompt,
    find_media,
    read_text,
)

# -- prompts


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  A cat \n", "A cat"),
        ("\ufeffA\x00 cat\x07", "A cat"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour"),
        ("Sa\u0303o", "São"),
        ("e\x00\u0301", "é"),
        ("👩\u200d🚀 \u200fعربي", "👩\u200d🚀 \u200fعربي"),
        ("a\ud800b", "ab"),
        (" \x00 \n", ""),
    ],
)
def test_prompts_are_cleaned(text: str, cleaned: str) -> None:
    assert clean_prompt(text, max_length=100) == cleaned


def test_long_prompts_are_refused() -> None:
    assert clean_prompt(" " + "x" * 5 + "\n", max_length=5) == "xxxxx"
    with pytest.raises(UsageError, match="has 6 characters and the limit is 5: shorten it"):
        clean_prompt("x" * 6, max_length=5)


def test_only_text_is_a_prompt() -> None:
    not_text: Any = 5
    with pytest.raises(UsageError, match="a prompt is int, not text"):
        clean_prompt(not_text, max_length=5)


@given(st.text() | st.text(alphabet=" \n\r\t\0\x85\ufeff\ud800e\u0301\u0327"))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    cleaned = clean_prompt(text, max_length=10**6)
    assert clean_prompt(cleaned, max_length=10**6) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()


# -- pasted text


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("", []),
        ("\n \n", ["", ""]),
        ("a\r\nb\rc\n\n d ", ["a", "b", "c", "", "d"]),
        ("\ufeff# a", ["# a"]),
    ],
)
def test_every_line_of_a_text_is_a_prompt(text: str, prompts: list[str]) -> None:
    assert list(read_text(text)) == prompts


def test_another_delimiter_lets_prompts_have_lines() -> None:
    text = "a\r\nb\r\n---\r\nc---d"
    assert list(read_text(text, delimiter="\n---\n")) == ["a\nb", "c---d"]
    with pytest.raises(UsageError, match="delimiter is empty"):
        read_text("a", delimiter="")


@given(st.lists(st.text(alphabet="ab \n")))
def test_texts_are_split_as_split_does(parts: list[str]) -> None:
    expected = [part.strip() for part in "|".join(parts).split("|")]
    expected = expected[:-1] if not expected[-1] else expected
    assert list(read_text("|".join(parts), delimiter="|")) == expected


# -- recordings


@pytest.fixture
def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = ("b.mp4", "a.MKV", "._b.mp4", "notes.txt", "sub/c.wav", ".trash/d.mp4", "odd[1].mp4")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def found(*given: str | Path, **options: Any) -> list[str]:
    return [str(path) for path in find_media(*given, **options)]


@pytest.mark.usefixtures("talks")
def test_folders_are_searched() -> None:
    assert found(".") == ["a.MKV", "b.mp4", "odd[1].mp4", "sub/c.wav"]
    assert found(".", recursive=False) == ["a.MKV", "b.mp4", "odd[1].mp4"]


def test_patterns_are_searched(talks: Path) -> None:
    assert found("*.mp4") == ["b.mp4", "odd[1].mp4"]
    assert found("**/*") == ["a.MKV", "b.mp4", "odd[1].mp4", "sub/c.wav"]
    assert found("**/*", recursive=False) == ["sub/c.wav"]
    assert found(f"{talks}/s*/c.*") == [f"{talks}/sub/c.wav"]
    assert found("~/sub/*") == [f"{talks}/sub/c.wav"]


@pytest.mark.usefixtures("talks")
def test_named_files_are_taken_whatever_they_are() -> None:
    assert found("notes.txt", "odd[1].mp4", "._b.mp4") == ["._b.mp4", "notes.txt", "odd[1].mp4"]


def test_each_real_file_is_taken_once(talks: Path) -> None:
    (talks / "link.mp4").symlink_to("b.mp4")
    assert found("b.mp4", "./b.mp4", talks / "b.mp4", "link.mp4", "sub/../b.mp4") == ["b.mp4"]


def test_what_holds_no_recording_is_refused(talks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"there is no file gone\.mp4"):
        find_media("b.mp4", "gone.mp4")
    with pytest.raises(UsageError, match="no recording was named"):
        find_media()
    (talks / "empty").mkdir()
    for nothing in ("the folder empty", "the pattern \\*.txt"):
        with pytest.raises(UsageError, match=f"{nothing} holds no recording: known are .*.mp4"):
            find_media(nothing.rsplit(" ", 1)[1].replace("\\", ""))
    os.mkfifo(talks / "pipe.mp4")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        find_media("pipe.mp4")

    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"the folder sub cannot be read .*: allow it"):
        find_media("sub")


def test_known_extensions_are_lower_case_with_a_dot() -> None:
    assert all(name == name.lower() and name[0] == "." for name in MEDIA_EXTENSIONS)
