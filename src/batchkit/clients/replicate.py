"""Replicate: predictions of any of its models.

Facts (replicate 1.0.7 and 2.0.0b4, https://replicate.com/docs):

* ``POST /v1/predictions`` takes ``version``; ``/v1/models/{owner}/{name}/predictions`` and
  ``/v1/deployments/{owner}/{name}/predictions`` need none. ``input`` belongs to the model;
  ``webhook`` and ``webhook_events_filter`` stand beside it. ``Prefer: wait`` would keep the
  connection until the result is there, and so make a lost answer likelier: it is never sent.
* ``GET /v1/predictions/{id}``: ``starting``, ``processing``, ``succeeded``, ``failed`` (``error``
  is a text, without a code), ``canceled``. ``output`` is an address, a list of them, or any JSON.
* One hour after the end, input and output are deleted, and ``data_removed`` is true.
* ``POST /v1/predictions/{id}/cancel`` also ends one that runs; the answer is the prediction.
* ``POST /v1/files`` takes a file as ``content``; ``urls.get`` of the answer goes into an input.
* The cost is told nowhere; ``metrics`` has times. There is no idempotency key.
* ``GET /v1/predictions`` lists the newest first, pages are chained by ``next``. No field of a
  prediction is free for a tag of ours, and the webhook is not among those that are documented; the
  ``input`` is. So the address of a file that was uploaded for one job finds its submission. For
  other jobs the list can only prove that there is nothing: no prediction, since the job was
  submitted, whose version and input could be the job's (models are renamed, so their names prove
  nothing). Where there is one, another program may have asked for the same: a person decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batchkit._errors import ClientError, UsageError
from batchkit._jobs import Handle, Job
from batchkit._requests import GenerateVideo, Request, TranscribeVideo
from batchkit._results import EMPTY
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._http_values import generation, timestamp
from batchkit.clients._images import is_uri
from batchkit.clients._replicate_values import KEPT_SECONDS, parse_prediction
from batchkit.clients.base import Accepted, Capabilities, RemoteStatus
from batchkit.clients.http import (
    Exchange,
    Fault,
    FilePart,
    HttpClient,
    HttpRequest,
    HttpResponse,
)

#: Seconds that an upload may take at each step; files are large.
_UPLOAD_SECONDS = 600.0
#: Pages of the list that are read, and seconds by which two clocks may differ.
_PAGES, _SLACK = 50, 300.0
#: Of ``params``: what stands beside the input.
_BESIDE = ("webhook", "webhook_events_filter")
_DEPLOYMENTS = "deployments/"


class ReplicateClient(HttpClient):
    """Runs any model of Replicate; ``model`` as ``"owner/name"``, ``"owner/name:version"``, a
    version, or ``"deployments/owner/name"``.

    ``params`` are inputs of the model, verbatim; ``webhook`` and ``webhook_events_filter`` go
    beside them. A path as ``image`` or source is uploaded first, which is free.

    Args:
        key: of the account.
        inputs: how the model calls a field of the request, where it is not ``prompt``,
            ``duration``, ``aspect_ratio``, ``seed``, ``image``, or ``audio`` for the source of a
            transcription; as ``{"image": "start_image", "source": "audio_file"}``. With
            ``"language"`` among them, the language of a transcription is sent too.
        options: as of any :class:`~batchkit.clients.http.HttpClient`.
    """

    name = "replicate"
    key_env = ("REPLICATE_API_TOKEN",)
    default_url = "https://api.replicate.com"
    capabilities = Capabilities(
        cancel="running",
        min_poll_seconds=1.0,
        find_after_seconds=300.0,
        result_ttl_seconds=KEPT_SECONDS,
    )

    def __init__(
        self, key: str | None = None, *, inputs: Mapping[str, str] = EMPTY, **options: Any
    ) -> None:
        super().__init__(key, **options)
        self.inputs = dict(inputs)

    def headers(self) -> dict[str, str]:
        """The key, as a bearer token."""
        return {"Authorization": f"Bearer {self.key}"}

    def check(self, request: Request) -> None:
        """Refuses a file that is not there, and what the model would not be told."""
        self.model_of(request)
        if not isinstance(request, (GenerateVideo, TranscribeVideo)):
            raise UsageError("Replicate's client generates and transcribes: add such requests")
        if isinstance(request, TranscribeVideo) and not self._is_told_language(request):
            raise UsageError(
                "the model's name for the language is not known: pass inputs={'language': ...} to"
                " the client, or the language in params"
            )
        path = _file_of(request)
        if path is not None and not Path(path).is_file():
            raise UsageError(f"there is no file {path}: check the path")

    def _is_told_language(self, request: TranscribeVideo) -> bool:
        return request.language == "auto" or "language" in self.inputs

    def http_prepare(self, job: Job) -> Exchange[Mapping[str, Any]]:
        """Uploads a file; an address is passed through."""
        path = _file_of(job.request)
        if path is None:
            return {}
        # The extension is all that a model needs of a name; the rest may be personal.
        file = FilePart(
            field="content",
            filename=f"file{Path(path).suffix.lower()}",
            path=path,
            media_type=media_type_of(path),
        )
        answer = yield HttpRequest("POST", "/v1/files", files=(file,), timeout=_UPLOAD_SECONDS)
        return {"uploaded": answer.text("urls", "get")}

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the prediction."""
        answer = yield build_submit(job, self.model_of(job.request), self.inputs)
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state and, with it, for the output."""
        answer = yield HttpRequest("GET", f"/v1/predictions/{handle.id}")
        return parse_prediction(answer)

    def http_cancel(self, handle: Handle) -> Exchange[bool]:
        """Ends the prediction; only the word ``canceled`` confirms it."""
        path = f"/v1/predictions/{handle.id}/cancel"
        answer = yield HttpRequest("POST", path, expect=frozenset({400, 409, 422}))
        return answer.status < 300 and answer.get("status") == "canceled"

    def http_find(self, job: Job, submit_key: str) -> Exchange[Handle | None]:
        """Looks for what may be the job's submission, among all since the job was submitted.

        Raises:
            ClientError: the list does not decide it; the submission stays uncertain, and the
                message names what may be its prediction.
        """
        model, since = self.model_of(job.request), (job.started or 0.0) - _SLACK
        asked = build_input(job, self.inputs)
        uploaded = (job.prepared or {}).get("uploaded")
        similar: list[str] = []
        url = "/v1/predictions"
        for _ in range(_PAGES):
            answer = yield HttpRequest("GET", url)
            listed = answer.json()["results"]
            for entry in listed:
                if uploaded and uploaded in set(_texts(entry.get("input"))):
                    return Handle(id=str(entry["id"]))
                if _may_be(entry, model, asked, f"{self.base_url}/v1/files/"):
                    similar.append(str(entry["id"]))
            url = answer.get("next", default="")
            if not url or any(_is_before(entry, since) for entry in listed):
                _must_be_empty(similar)
                return None
        raise ClientError("the list is too long to prove that the submission is not in it")

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``detail`` and ``title``; 402 is an empty account."""
        usual = super().fault(response)
        return Fault(message=usual.message, kind="quota" if response.status == 402 else "")


def _file_of(request: Request) -> str | None:
    """The path that has to be uploaded."""
    source = getattr(request, "source", None) or getattr(request, "image", None)
    return None if source is None or is_uri(source) else str(source)


def build_input(job: Job, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What the model is given."""
    request, uploaded = job.request, (job.prepared or {}).get("uploaded")
    params = {name: value for name, value in request.params.items() if name not in _BESIDE}
    if isinstance(request, TranscribeVideo):
        body = {inputs.get("source", "audio"): uploaded or request.source}
        if request.language != "auto" and "language" in inputs:
            body[inputs["language"]] = request.language
        return {**body, **params}
    body = generation(request, inputs)
    image = inputs.get("image", "image")
    if uploaded and image not in params:
        body[image] = uploaded
    return {name: value for name, value in body.items() if name not in _BESIDE}


def build_submit(job: Job, model: str, inputs: Mapping[str, str] = EMPTY) -> HttpRequest:
    """The one request that costs money."""
    params = job.request.params
    body: dict[str, Any] = {"input": build_input(job, inputs)}
    body |= {name: params[name] for name in _BESIDE if name in params}
    if model.startswith(_DEPLOYMENTS):
        return HttpRequest("POST", f"/v1/{model}/predictions", json=body)
    name, _, version = model.partition(":")
    if "/" in name and not version:
        return HttpRequest("POST", f"/v1/models/{name}/predictions", json=body)
    return HttpRequest("POST", "/v1/predictions", json={"version": version or name, **body})


# -- the list --------------------------------------------------------------------------------


def _must_be_empty(similar: list[str]) -> None:
    if similar:
        names = ", ".join(similar[:5])
        raise ClientError(
            f"the submission may be {names}, or another program's: resolve the job with its id, or"
            " submit it again if it is not among them"
        )


def _may_be(entry: Mapping[str, Any], model: str, asked: Mapping[str, Any], files: str) -> bool:
    """Whether a listed prediction could be the job's: nothing in it says otherwise."""
    if _is_other_model(entry, model):
        return False
    given = entry.get("input")
    if entry.get("data_removed") or not isinstance(given, Mapping):
        return True
    return not any(
        _differs(value, given[name], files) for name, value in asked.items() if name in given
    )


def _is_other_model(entry: Mapping[str, Any], model: str) -> bool:
    """Whether it ran elsewhere. The name of a model proves nothing: models are renamed."""
    if model.startswith(_DEPLOYMENTS):
        told = str(entry.get("deployment") or "")
        return told != "" and told.split("/")[-1] != model.split("/")[-1]
    name, _, version = model.partition(":")
    version = version if "/" in name else name
    told = str(entry.get("version") or "hidden")
    return bool(version) and told != "hidden" and told != version


def _differs(ours: Any, theirs: Any, files: str) -> bool:
    """Whether two inputs cannot be the same one. What is not plain may be rewritten by them."""
    if isinstance(ours, str) and ours.startswith(("http://", "https://", "data:")):
        # Of their own files, each address is another file; any other may have become a copy.
        both = isinstance(theirs, str) and ours.startswith(files) and theirs.startswith(files)
        return both and ours != theirs
    if isinstance(ours, (str, int, float)) and isinstance(theirs, (str, int, float)):
        return ours != theirs and str(ours) != str(theirs)
    return False


def _is_before(entry: Mapping[str, Any], since: float) -> bool:
    created = timestamp(entry.get("created_at"))
    return created is not None and created < since


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
