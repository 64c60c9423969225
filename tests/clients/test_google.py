"""Google's Interactions API: every documented state and error, as literal answers."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from http_kit import answer

from batchkit import (
    ErrorKind,
    GenerateVideo,
    Job,
    Output,
    RemoteState,
    Request,
    TranscribeVideo,
)
from batchkit.clients import google
from batchkit.clients._google_values import parse_fault, parse_interaction
from batchkit.clients.google import GoogleClient
from batchkit.clients.http import HttpResponse

OMNI, TRANSCRIBE = "gemini-omni-1.2-flash", "gemini-3.5-transcribe"
FILE = "https://generativelanguage.googleapis.com/v1/files/abc-1"
WORDS = {
    "mode": {"type": "verbatim", "timestamp_granularities": ["word"]},
}


def job_of(request: Request, prepared: dict[str, Any] | None = None) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="i", request=request, prepared=prepared)


GENERATIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {},
        {
            "input": "a cat",
            "background": True,
            "response_format": {"type": "video", "delivery": "uri"},
        },
    ),
    (
        {"aspect_ratio": "9:16", "duration": 8, "seed": 7},
        {
            "input": "a cat",
            "background": True,
            "response_format": {
                "type": "video",
                "delivery": "uri",
                "aspect_ratio": "9:16",
                "duration": "8s",
            },
            "generation_config": {"seed": 7},
        },
    ),
    (
        {
            "seed": 7,
            "image": "https://h/first.png?sig=1",
            "params": {
                "response_format": {"resolution": "1080p", "delivery": "inline"},
                "generation_config": {"video_config": {"task": "image_to_video"}},
                "labels": {"show": "pilot"},
            },
        },
        {
            "input": [
                {"type": "text", "text": "a cat"},
                {
                    "type": "image",
                    "uri": "https://h/first.png?sig=1",
                    "mime_type": "image/png",
                },
            ],
            "background": True,
            "response_format": {"type": "video", "delivery": "inline", "resolution": "1080p"},
            "generation_config": {"seed": 7, "video_config": {"task": "image_to_video"}},
            "labels": {"show": "pilot"},
        },
    ),
]


@pytest.mark.parametrize(("fields", "body"), GENERATIONS)
def test_a_generation(fields: dict[str, Any], body: dict[str, Any]) -> None:
    sent = google.build_submit(job_of(GenerateVideo(prompt="a cat", **fields)), OMNI)
    assert (sent.method, sent.url) == ("POST", "/v1/interactions")
    assert sent.json == {"model": OMNI, **body}


AUDIO = {"type": "audio", "uri": FILE, "mime_type": "audio/mpeg"}
TRANSCRIPTIONS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {},
        TRANSCRIBE,
        {"input": [AUDIO], "generation_config": {"transcription_config": WORDS}},
    ),
    (
        {"language": "pt-BR"},
        TRANSCRIBE,
        {
            "input": [AUDIO],
            "generation_config": {"transcription_config": {**WORDS, "language_codes": ["pt-BR"]}},
        },
    ),
    (
        {"params": {"generation_config": {"transcription_config": {"mode": "smart"}}}},
        TRANSCRIBE,
        {
            "input": [AUDIO],
            "generation_config": {"transcription_config": {"mode": "smart"}},
        },
    ),
    (
        {"params": {"input": "Who is on stage?"}},
        "gemini-3.8-flash",
        {"input": [AUDIO, {"type": "text", "text": "Who is on stage?"}]},
    ),
    (
        {"params": {"input": [{"type": "text", "text": "Who?"}], "background": False}},
        "gemini-3.8-flash",
        {"input": [AUDIO, {"type": "text", "text": "Who?"}], "background": False},
    ),
]


@pytest.mark.parametrize(("fields", "model", "body"), TRANSCRIPTIONS)
def test_a_transcription(fields: dict[str, Any], model: str, body: dict[str, Any]) -> None:
    request = TranscribeVideo(source="/talk.mp3", **fields)
    sent = google.build_submit(job_of(request, {"media": AUDIO}), model)
    assert sent.json == {"model": model, "background": True, **body}


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("https://h/a.mp4?x=1", {"type": "video", "mime_type": "video/mp4"}),
        ("https://h/a.mp3", {"type": "audio", "mime_type": "audio/mpeg"}),
        ("https://h/watch", {"type": "audio"}),
    ],
)
def test_what_an_address_is_taken_for(source: str, part: dict[str, str]) -> None:
    sent = google.build_submit(job_of(TranscribeVideo(source=source)), TRANSCRIBE)
    assert sent.json["input"] == [{**part, "uri": source}]


def test_a_data_uri_is_embedded() -> None:
    request = GenerateVideo(prompt="a cat", image="data:image/png;base64,AA==")
    GoogleClient("k", model=OMNI).check(request)
    sent = google.build_submit(job_of(request), OMNI)
    assert sent.json["input"][1] == {"type": "image", "mime_type": "image/png", "data": "AA=="}


def made(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    steps = [
        {"type": "user_input", "content": [{"type": "video", "uri": "https://h/mine.mp4"}]},
        {"type": "thought", "signature": "x"},
        {"type": "model_output", "content": list(content)},
    ]
    return {"id": "v1_1", "status": "completed", "steps": steps, **more}


VIDEO = {"type": "video", "mime_type": "video/mp4", "uri": FILE}
STATES: list[tuple[dict[str, Any], RemoteState, str | None]] = [
    ({"status": "queued"}, RemoteState.QUEUED, None),
    ({"status": "in_progress"}, RemoteState.RUNNING, None),
    ({"status": "pondering"}, RemoteState.RUNNING, None),
    (made(VIDEO), RemoteState.SUCCEEDED, None),
    ({"status": "cancelled"}, RemoteState.CANCELED, None),
    ({"status": "failed"}, RemoteState.FAILED, "the interaction ended as failed"),
    ({"status": "incomplete"}, RemoteState.FAILED, "the interaction ended as incomplete"),
    ({"status": "budget_exceeded"}, RemoteState.FAILED, "the interaction ended as budget_exceeded"),
    ({"status": "requires_action"}, RemoteState.FAILED, "the interaction ended as requires_action"),
    (
        {"status": "requires_continuation"},
        RemoteState.FAILED,
        "the interaction ended as requires_continuation",
    ),
]


@pytest.mark.parametrize(("body", "state", "message"), STATES)
def test_states(body: dict[str, Any], state: RemoteState, message: str | None) -> None:
    status = parse_interaction(answer(body), transcribes=False)
    assert (status.state, status.raw_state) == (state, body["status"])
    assert (status.error and status.error.message) == message


REASONS: list[tuple[dict[str, Any], str, str | None]] = [
    (
        {"errors": [{"code": "https://ai.google.dev/errors/x", "message": "no"}]},
        "no",
        "https://ai.google.dev/errors/x",
    ),
    (
        {"steps": [{"type": "model_output", "error": {"code": 3, "message": "blocked"}}]},
        "blocked",
        "3",
    ),
]


@pytest.mark.parametrize("word", ["failed", "completed"])
@pytest.mark.parametrize(("body", "message", "code"), REASONS)
def test_why_there_is_no_result(
    word: str, body: dict[str, Any], message: str, code: str | None
) -> None:
    status = parse_interaction(answer({"status": word, **body}), transcribes=False)
    assert status.state is RemoteState.FAILED
    assert status.error is not None
    assert (status.error.kind, status.error.message) == (ErrorKind.PROVIDER, message)
    assert status.error.code == code


def test_a_video() -> None:
    usage = {"total_tokens": 57920}
    told = parse_interaction(answer(made(VIDEO, usage=usage)), transcribes=False)
    assert told.finished is not None
    assert told.finished.outputs == (Output(url=FILE, media_type="video/mp4"),)
    assert (told.finished.raw, told.cost) == ({"usage": usage}, None)


def test_a_short_video_is_in_the_answer() -> None:
    data = base64.b64encode(b"\x00video").decode()
    inline = {"type": "video", "mime_type": "video/mp4", "data": data}
    told = parse_interaction(answer(made(inline, VIDEO)), transcribes=False)
    assert told.finished is not None
    assert told.finished.outputs == (
        Output(data=b"\x00video", media_type="video/mp4"),
        Output(url=FILE, media_type="video/mp4", role="2"),
    )
    damaged = answer(made({**inline, "data": "!!"}))
    with pytest.raises(ConnectionError):
        parse_interaction(damaged, transcribes=False)


@pytest.mark.parametrize(
    "body", [{"status": "completed"}, made(), made({"type": "video"}), made({"type": "text"})]
)
def test_completed_without_a_result_is_told_so(body: dict[str, Any]) -> None:
    told = parse_interaction(answer(body), transcribes=False)
    assert told.state is RemoteState.SUCCEEDED
    assert told.finished is not None
    assert (told.finished.outputs, told.finished.text) == ((), None)


def word(text: str, start: str, end: str, **more: str) -> dict[str, str]:
    times = {"start_offset": start, "end_offset": end}
    return {"type": "word_info", "text": text, **times, **more}


def test_a_transcript() -> None:
    said = [
        word("Olá,", "0.100s", "0.500s", speaker="spk_1"),
        word("mundo.", "0.600s", "1s", speaker="spk_1"),
        word("Sim.", "2s", "2.5s", speaker="spk_2"),
        {"type": "word_info", "text": "lost"},
    ]
    text = {"type": "text", "text": "Olá, mundo. Sim.", "annotations": said}
    told = parse_interaction(answer(made(text)), transcribes=True)
    assert told.finished is not None
    found = told.finished.transcript
    assert found is not None
    assert (found.text, found.language) == ("Olá, mundo. Sim.", None)
    assert [(part.start, part.end) for part in found.segments] == [(0.1, 1.0), (2.0, 2.5)]
    assert [one["speaker"] for one in told.finished.value["speakers"]] == [
        "spk_1",
        "spk_1",
        "spk_2",
    ]


def test_silence_is_a_result_and_an_answer_is_a_text() -> None:
    silent = parse_interaction(answer(made({"type": "text", "text": ""})), transcribes=True)
    assert silent.finished is not None
    assert silent.finished.transcript is not None
    plain = parse_interaction(answer(made({"type": "text", "text": "Two."})), transcribes=False)
    assert plain.finished is not None
    assert plain.finished.text == "Two."


FAULTS: list[tuple[Any, str, str | None, str]] = [
    (
        {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
        "slow down",
        "RESOURCE_EXHAUSTED",
        "",
    ),
    (
        {
            "error": {
                "code": 400,
                "message": "API key not valid.",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "x/ErrorInfo", "reason": "API_KEY_INVALID"}],
            }
        },
        "API key not valid.",
        "API_KEY_INVALID",
        "authentication",
    ),
    ({"error": {"message": "bad", "code": "invalid_request"}}, "bad", "invalid_request", ""),
    ({"error": "bad"}, "bad", None, ""),
    ({"error": {"message": 3, "details": 4}}, "", None, ""),
    ([], "", None, ""),
    ({"error": None}, "", None, ""),
]


@pytest.mark.parametrize(("body", "message", "code", "kind"), FAULTS)
def test_faults(body: Any, message: str, code: str | None, kind: str) -> None:
    fault = parse_fault(answer(body, 400))
    assert (fault.message, fault.code, fault.kind) == (message, code, kind)
    assert parse_fault(HttpResponse(status=502, content=b"<html>")).message == ""
