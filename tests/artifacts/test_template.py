from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit._errors import TemplateError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, OpaqueRequest, Request, TranscribeVideo
from batchkit._results import Output, Transcript
from batchkit.artifacts import Template
from batchkit.artifacts import _names as names
from batchkit.artifacts._pattern import NUMBERS, TEXTS
from batchkit.artifacts._template import DEFAULT_TEMPLATE, ext_for

DAY = 86400.0


def a_job(request: Request | str = "A cat", **changes: Any) -> Job:
    request = GenerateVideo(prompt=request) if isinstance(request, str) else request
    values = {"id": 7, "index": 0, "identity": "0123456789abcdef", "created": 3 * DAY}
    return Job(**{"batch_id": 1, "request": request, **values, **changes})


def rendered(pattern: str, job: Job | None = None, **options: Any) -> str:
    return Template(pattern).render(job or a_job(), **{"ext": "mp4", **options})


def test_default_name_counts_from_one_and_tells_what_it_is() -> None:
    assert rendered(DEFAULT_TEMPLATE) == "0001-a-cat.mp4"


def test_every_field_has_a_value() -> None:
    request = GenerateVideo(prompt="A cat", language="en", model="v3/fast", seed=5)
    job = a_job(request, attempt=2, metadata={"title": "T"})
    pattern = (
        "{date}/{index}-{id}-{attempt}/{slug}_{stem}/{key}_{identity}/{kind}-{language}"
        "/{model} {seed:03d}/{role} {meta[title]}{metadata[title]} {ext}.{ext}"
    )
    assert rendered(pattern, job) == (
        "1970-01-04/1-7-2/a-cat_a-cat/0123456789ab_0123456789ab/generate-en/v3-fast 005"
        "/main TT mp4.mp4"
    )


def test_a_value_that_a_job_does_not_have_is_written_none() -> None:
    assert rendered("{model}-{seed:04d}-{language}.{ext}", a_job(Request())) == "none-none-none.mp4"


def test_key_of_the_user_comes_without_its_mark() -> None:
    assert rendered("{key}.{ext}", a_job(identity="key:Scene 1")) == "Scene 1.mp4"


def test_kind_of_a_request_that_nobody_registered() -> None:
    job = a_job(OpaqueRequest(stored_kind="upscale"))
    assert rendered("{kind}-{slug}.{ext}", job) == "upscale-upscale.mp4"


@pytest.mark.parametrize(
    ("source", "stem", "slug"),
    [
        ("/talks/Olá Mundo.MP4", "Olá Mundo", "ola-mundo"),
        ("C:\\talks\\a.b.mkv", "a.b", "a-b"),
        ("notes.v2", "notes.v2", "notes-v2"),
        ("https://x.org/v/My%20Talk.mp4?sig=SECRET#t", "My Talk", "my-talk"),
        (".mp4", "none", "0123456789ab"),
    ],
)
def test_stem_and_slug_of_a_recording(source: str, stem: str, slug: str) -> None:
    job = a_job(TranscribeVideo(source=source))
    assert rendered("{stem}.{ext}", job, ext="txt") == f"{stem}.txt"
    assert rendered("{slug}.{ext}", job, ext="txt") == f"{slug}.txt"


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("São João — Ünïted!", "sao-joao-united"),
        ("Straße Øl Æsir łódź", "strasse-ol-aesir-lodz"),
        ("ﬁne ①", "fine-1"),
        ("日本語", "0123456789ab"),
        ("x" * 59 + " yz", "x" * 59),
    ],
)
def test_slug_is_ascii_and_short(title: str, slug: str) -> None:
    assert rendered("{slug}.{ext}", a_job(title)) == f"{slug}.mp4"


def test_slug_of_nothing_is_not_empty() -> None:
    assert rendered("{slug}.{ext}", a_job("!", identity="?")) == "item.mp4"


def test_role_and_number_go_before_the_extension() -> None:
    assert rendered("{slug}.{ext}", role="thumb/nail") == "a-cat-thumb-nail.mp4"
    assert rendered("{slug}.{ext}", role="thumb", number=3) == "a-cat-thumb-3.mp4"
    assert rendered("{role}/{slug}.{ext}", role="thumb", number=2) == "thumb/a-cat-2.mp4"


def test_extension_is_letters_and_digits() -> None:
    assert rendered("{slug}.{ext}", ext="../MP4") == "a-cat.mp4"
    assert rendered("{slug}.{ext}", ext="/") == "a-cat.bin"


@pytest.mark.parametrize("device", ["CON", "nul", "Com1", "LPT9", "aux.tar", "com¹"])
def test_names_of_devices_are_marked(device: str) -> None:
    job = a_job(metadata={"x": device})
    assert rendered("{meta[x]}/{meta[x]}.{ext}", job) == f"_{device}/_{device}.mp4"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("../../etc/passwd", "-..-etc-passwd"),
        ("/abs", "-abs"),
        ("a\x00b\nc\u202e", "abc"),
        ("C:\\x", "C--x"),
        (" . ", "none"),
        ("dots... ", "dots"),
        ("\ud800", "none"),
        ("e\u0301", "é"),
        (True, "True"),
        (["a/b"], "['a-b']"),
    ],
)
def test_values_make_no_folders(value: Any, name: str) -> None:
    assert rendered("{meta[x]}.{ext}", a_job(metadata={"x": value})) == f"{name}.mp4"


def test_numbers_of_metadata_take_formats() -> None:
    job = a_job(metadata={"n": 3, "f": 2.5})
    assert rendered("{meta[n]:03d} {meta[f]:.2f} {slug:.3}.{ext}", job) == "003 2.50 a-c.mp4"


def test_numbers_survive_when_a_name_is_shortened() -> None:
    job = a_job(metadata={"x": "é" * 500, "y": "y" * 500})
    name = rendered("{meta[x]}-{meta[y]}-{index:06d}.{ext}", job, role="r" * 99, number=12)
    assert len(name.encode()) <= names.MAX_NAME_BYTES
    assert f"-000001-{'r' * 40}-12.mp4" in name
    folder = rendered("{meta[x]}/{index}.{ext}", job).split("/")[0]
    assert 200 < len(folder.encode()) <= names.MAX_NAME_BYTES


def test_metadata_that_is_missing_is_refused_only_before_it_is_paid() -> None:
    assert rendered("{meta[title]}.{ext}") == "none.mp4"
    with pytest.raises(TemplateError, match=r"item 1 \('A cat'\) has no metadata 'title'.*add it"):
        rendered("{meta[title]}.{ext}", strict=True)


@pytest.mark.parametrize("value", ["x", 10**5000], ids=["text", "huge"])
def test_metadata_that_does_not_fit_is_refused_only_before_it_is_paid(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    job = a_job(metadata={"n": value})
    with caplog.at_level(logging.WARNING):
        assert rendered("{meta[n]:d}.{ext}", job) == "none.mp4"
    assert "{meta[n]:d}" in caplog.text
    with pytest.raises(TemplateError, match=r"item 1 .*\{meta\[n\]:d\}"):
        rendered("{meta[n]:d}.{ext}", job, strict=True)


@pytest.mark.parametrize(
    "bad", ["{sluk}", "{slug.__class__}", "{}", "{0}", "{meta}", "{meta[a][b]}"]
)
def test_unknown_fields_are_refused_with_the_known_ones(bad: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(bad + ".{ext}")
    assert all(name in str(caught.value) for name in (*NUMBERS, *TEXTS, "meta[...]"))


@pytest.mark.parametrize(
    "field",
    ["{index:c}", "{index:.1e}", "{index:9999d}", "{id!r}", "{slug:d}", "{slug:9999}", "{seed:c}",
     "{slug:{id}}", "{meta[x]:zz}", "{meta[x]:d.}"],
)  # fmt: skip
def test_bad_formats_are_refused(field: str) -> None:
    with pytest.raises(TemplateError, match="bad format"):
        Template(field + ".{ext}")


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("", "try"),
        ("  ", "try"),
        ("{slug}", "add it"),
        ("{ext}", "add it"),
        ("{slug}.{ext}.bak", "add it"),
        ("{slug}.{ext:>5}", "add it"),
        ("{slug.{ext}", "write {{"),
        ("{slug}}.{ext}", "write {{"),
        (".{ext}", "without a name"),
        ("/{slug}.{ext}", "without a name"),
        ("a//{slug}.{ext}", "without a name"),
        ("../{slug}.{ext}", "without a name"),
        ("a/. ./{slug}.{ext}", "without a name"),
        ("a\\{slug}.{ext}", "sub-folders are made with /"),
        ("C:{slug}.{ext}", "leave it out"),
        ("a\0{slug}.{ext}", "leave it out"),
        ("a/b/c/d/e/f/g/h/{slug}.{ext}", "folders"),
        ("x" * 121 + ".{ext}", "too long"),
        ("{slug}" * 16 + ".{ext}", "too long"),
        ("{index:099d}{id:099d}.{ext}", "too long"),
    ],
)
def test_patterns_that_cannot_work_are_refused(pattern: str, remedy: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(pattern)
    assert remedy in str(caught.value)


def test_braces_and_blanks_are_text() -> None:
    assert rendered("{{{id}}} x .{ext}") == "{7} x.mp4"


@pytest.mark.parametrize(
    ("pattern", "unique"),
    [
        (DEFAULT_TEMPLATE, True),
        ("{slug}-{id}.{ext}", True),
        ("clip {index}.{ext}", True),
        ("{slug}/{index}.{ext}", True),
        ("{index}/{slug}.{ext}", True),
        ("{slug}.{ext}", False),
        ("{key}.{ext}", False),
        ("{slug}-{index}-{stem}.{ext}", False),
        ("{index}{id}.{ext}", False),
        ("{index}0{slug}.{ext}", False),
        ("{slug}a{index}.{ext}", False),
        ("{attempt}.{ext}", False),
        ("video.{ext}", False),
    ],
)
def test_names_that_cannot_collide_are_known(pattern: str, unique: bool) -> None:
    assert Template(pattern).unique is unique


def test_templates_are_values() -> None:
    assert Template("{id}.{ext}") == Template("{id}.{ext}")
    assert str(Template("{id}.{ext}")) == "{id}.{ext}"
    assert Template("{id}-{meta[x]}.{ext}").fields == {"id", "meta", "ext"}


# -- extensions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "ext"),
    [
        ("video/mp4", "mp4"),
        ("video/quicktime", "mov"),
        ("image/JPEG; q=1", "jpg"),
        ("audio/x-flac", "flac"),
        ("application/vnd.some-thing", "bin"),
        ("nonsense", "bin"),
        (None, "bin"),
        (Output(transcript=Transcript(text="x")), "txt"),
        (Output(url="https://x/a.mp4?x=.png", media_type="video/webm"), "webm"),
        (Output(url="https://x/a.MOV?x=.png"), "mov"),
        (Output(url="https://x/a.php"), "bin"),
        (Output(path="/tmp/x.webp"), "webp"),
        (Output(data=b"x"), "bin"),
    ],
)
def test_extension_follows_the_media_type_and_then_the_address(what: Any, ext: str) -> None:
    assert ext_for(what) == ext


def test_extension_of_what_tells_nothing_is_the_default() -> None:
    assert ext_for(Output(data=b"x"), "mp4") == "mp4"


# -- whatever people write ------------------------------------------------------------------

TEXT = st.text(max_size=400) | st.text(alphabet="./\\ \0:CONul1é\u0301\ud800", max_size=300)
PATTERNS = st.sampled_from(
    [
        DEFAULT_TEMPLATE,
        "{meta[a]}.{ext}",
        "{meta[a]}/{meta[b]}/{index}.{ext}",
        "{meta[a]}{meta[b]}-{stem}-{slug}-{model}-{index:08d}.{ext}",
        ".{meta[a]}.{meta[b]}./{key}.{ext}",
        "{meta[a]:/>20}{index}.{ext}",
    ]
)


@given(PATTERNS, TEXT, TEXT, TEXT, st.integers(1, 10**6), st.integers(0, 10**9))
def test_whatever_the_title_names_stay_inside_and_short(
    pattern: str, title: str, a: str, b: str, number: int, index: int
) -> None:
    request = GenerateVideo(prompt=title, model=b)
    job = a_job(request, metadata={"a": a, "b": b}, identity=a or "x", index=index)
    path = rendered(pattern, job, role=a, number=number)
    parts = path.split("/")
    assert len(parts) == pattern.count("/") + 1 - pattern.count(":/")
    for part in parts:
        assert len(part.encode()) <= names.MAX_NAME_BYTES
        assert part.strip(" .") not in ("", "..")
        assert not part.endswith((" ", "."))
        assert not any(names.is_invisible(char) or char in names.FORBIDDEN for char in part)
        assert part.split(".")[0].strip().upper() not in names._DEVICES


@given(TEXT, TEXT, st.integers(0, 10**6), st.integers(0, 10**6))
def test_unique_patterns_never_give_one_name_to_two_jobs(a: str, b: str, i: int, j: int) -> None:
    first, second = a_job(index=i, metadata={"a": a}), a_job(index=j, metadata={"a": b})
    for pattern in ("{index}-{meta[a]}.{ext}", "{meta[a]}-{index}.{ext}"):
        same = names.fold(rendered(pattern, first)) == names.fold(rendered(pattern, second))
        assert not same or i == j


@given(st.text())
def test_slugs_are_words(text: str) -> None:
    slug = names.slugify(text)
    assert len(slug) <= names.MAX_SLUG
    assert slug == names.slugify(slug)
