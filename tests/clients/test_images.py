"""Images that a generation starts from: addresses and files, the way each provider wants them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_kit import answer, play, run_one

from batchkit import ErrorKind, GenerateVideo, Job, JobStatus, UsageError
from batchkit.clients import fal, openrouter, runway
from batchkit.clients.fal import FalClient
from batchkit.clients.http import HttpClient
from batchkit.clients.openrouter import OpenRouterClient
from batchkit.clients.runway import RunwayClient

PIXELS = b"\x89PNG made up"
EMBEDDED = "data:image/png;base64," + base64.b64encode(PIXELS).decode()
FORM = {"key": "uploads/1", "policy": "p"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "first frame.png"
    path.write_bytes(PIXELS)
    return path


def asked(image: object, **more: Any) -> GenerateVideo:
    return GenerateVideo(prompt="a cat", image=str(image), **more)


def a_job(request: GenerateVideo, **more: Any) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="a", request=request, **more)


@pytest.mark.parametrize("address", ["https://h/a.png", "data:image/png;base64,AAAA"])
def test_addresses_go_out_as_they_are(address: str) -> None:
    assert fal.build_submit("m", asked(address)).json["image_url"] == address
    sent = openrouter.build_submit("m", asked(address)).json
    assert sent["frame_images"][0]["image_url"] == {"url": address}
    job = a_job(asked(address))
    assert play(runway.RunwayClient("k", model="m").http_submit(job), answer({"id": "t"}))[1][
        0
    ].json == {"model": "m", "promptText": "a cat", "promptImage": address}


def test_files_are_embedded_where_nothing_is_uploaded(image: Path) -> None:
    assert fal.build_submit("m", asked(image)).json["image_url"] == EMBEDDED
    sent = openrouter.build_submit("m", asked(image)).json
    assert sent["frame_images"][0]["image_url"] == {"url": EMBEDDED}


def test_parameters_have_the_last_word(image: Path) -> None:
    request = asked(image, params={"image_url": "https://h/other.png"})
    assert fal.build_submit("m", request).json["image_url"] == "https://h/other.png"


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_runway_has_a_file_uploaded_to_a_signed_address(image: Path, executor: str) -> None:
    forms: list[bytes] = []

    def serve(request: httpx.Request) -> httpx.Response:
        match request.method, request.url.path:
            case "POST", "/v1/uploads":
                where = {"uploadUrl": "https://bucket.example/put", "fields": FORM}
                return httpx.Response(200, json={**where, "runwayUri": "runway://1"})
            case "POST", "/put":
                forms.append(request.content)
                return httpx.Response(204)
            case "POST", _:
                return httpx.Response(200, json={"id": "t1"})
        return httpx.Response(200, json={"status": "FAILED", "failure": "no", "failureCode": "X"})

    job, sent = run_one(RunwayClient, serve, asked(image), executor=executor, model="gen4.5")

    assert job.status is JobStatus.FAILED
    upload, put, submit = sent[:3]
    assert json.loads(upload.content) == {"filename": image.name, "type": "ephemeral"}
    # The key is no business of whoever keeps the files.
    assert "authorization" not in put.headers
    assert b"uploads/1" in forms[0]
    assert PIXELS in forms[0]
    assert forms[0].index(b'name="policy"') < forms[0].index(b'name="file"')
    assert submit.url.path == "/v1/image_to_video"
    assert json.loads(submit.content)["promptImage"] == "runway://1"


def test_without_a_file_nothing_is_uploaded(image: Path) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path != "/v1/uploads"
        if request.method == "POST":
            return httpx.Response(200, json={"id": "t1"})
        return httpx.Response(200, json={"status": "FAILED", "failure": "no"})

    job, sent = run_one(RunwayClient, serve, GenerateVideo(prompt="a cat"), model="gen4.5")
    assert job.status is JobStatus.FAILED
    assert sent[0].url.path == "/v1/text_to_video"


def test_a_form_without_fields_is_asked_for_again() -> None:
    with pytest.raises(Exception, match="fields"):
        runway.build_upload(answer({"uploadUrl": "https://h/put"}), Path("a.png"))


CLIENTS: list[type[HttpClient]] = [FalClient, OpenRouterClient, RunwayClient]


@pytest.mark.parametrize("cls", CLIENTS)
def test_bad_images_are_refused_at_once(
    cls: type[HttpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = cls("k", model="m")
    with pytest.raises(UsageError, match="there is no image"):
        client.check(asked(tmp_path / "missing.png"))
    text = tmp_path / "words.txt"
    text.write_text("no image")
    with pytest.raises(UsageError, match="no image by its name"):
        client.check(asked(text))
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(300_000_000)
    with pytest.raises(UsageError, match="300,000,000 bytes"):
        client.check(asked(large))


def test_a_file_that_vanishes_costs_nothing(image: Path) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    class Slow(FalClient):
        def check(self, request: Any) -> None:
            image.unlink(missing_ok=True)

    job, sent = run_one(Slow, serve, asked(image), model="m")
    assert (job.status, sent) == (JobStatus.FAILED, [])
    assert job.error is not None
    assert job.error.kind is ErrorKind.INVALID_INPUT
