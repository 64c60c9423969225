"""OpenRouter's videos: one API in front of several providers.

Facts (openrouter 1.3.84 and https://openrouter.ai/docs):

* ``POST /videos`` takes JSON and answers 202 with ``id``; ``GET /videos/{id}`` tells the state:
  ``pending``, ``in_progress``, ``completed``, ``failed``, ``cancelled``, ``expired``.
* 403 at the submission means that the input was flagged, 402 that there is no credit.
* ``urls`` are signed and end at ``expires_at``; asking again gives fresh ones.
* ``usage.cost`` is in US dollars. No cancel, no list: an unanswered submission cannot be looked up.
* ``unsigned_urls`` want the key; the same bytes are at ``/videos/{id}/content?index=n``.
"""

from __future__ import annotations

from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import Request
from batchkit._results import Download, Output
from batchkit.clients._http_values import generation, number, timestamp
from batchkit.clients._images import MOST_EMBEDDED, check_image
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Exchange, Fault, HttpClient, HttpRequest, HttpResponse

_STATES = {
    "pending": RemoteState.QUEUED,
    "in_progress": RemoteState.RUNNING,
    "completed": RemoteState.SUCCEEDED,
    "failed": RemoteState.FAILED,
    "cancelled": RemoteState.CANCELED,
    "expired": RemoteState.EXPIRED,
}
#: What a submission's status means beyond the usual.
_KINDS = {402: "quota", 403: "moderation"}


class OpenRouterClient(HttpClient):
    """Generates videos through OpenRouter; ``model`` as ``"google/veo-3.1"``.

    A request's ``image``, an address or a file of at most 10 MB, is the first frame. Everything
    else goes through ``params``, verbatim.
    """

    name = "openrouter"
    key_env = ("OPENROUTER_API_KEY",)
    default_url = "https://openrouter.ai/api/v1"
    # Their advice is a query every 10 to 30 seconds.
    capabilities = Capabilities(min_poll_seconds=10.0)

    def headers(self) -> dict[str, str]:
        """The key, as a bearer token."""
        return {"Authorization": f"Bearer {self.key}"}

    def check(self, request: Request) -> None:
        """Refuses a request without a model, and an image that cannot be sent."""
        self.model_of(request)
        check_image(request, "OpenRouter", MOST_EMBEDDED)

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the generation."""
        answer = yield build_submit(self.model_of(job.request), job.request)
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state and, with it, for the addresses."""
        answer = yield HttpRequest("GET", f"/videos/{handle.id}")
        return parse_poll(answer)

    def fetch(self, job: Job, output: Output) -> Download:
        """The key for a result of theirs that is not signed; others are downloaded as they are."""
        if output.ref is None or job.handle is None:
            return Download(url=output.url or "")
        url = f"{self.base_url}/videos/{job.handle.id}/content?index={output.ref}"
        return Download(url=url, headers=self.headers())

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``error.message``; 402 and 403 say more than their numbers."""
        usual = super().fault(response)
        return Fault(message=usual.message, kind=_KINDS.get(response.status, ""))


def build_submit(model: str, request: Request) -> HttpRequest:
    """The one request that costs money."""
    body = generation(request, embed=True)
    image = body.pop("image", None)
    if image is not None:
        frame = {"type": "image_url", "image_url": {"url": image}, "frame_type": "first_frame"}
        body.setdefault("frame_images", [frame])
    return HttpRequest("POST", "/videos", json={"model": model, **body})


def parse_poll(answer: HttpResponse) -> RemoteStatus:
    """The state, the outputs and the cost."""
    word = answer.text("status")
    state = _STATES.get(word, RemoteState.RUNNING)
    cost = number(answer.get("usage", "cost"))
    if state is RemoteState.SUCCEEDED:
        expires = timestamp(answer.get("expires_at"))
        signed, plain = (answer.get(name, default=[]) for name in ("urls", "unsigned_urls"))
        done = Finished(
            outputs=tuple(
                Output(
                    url=url,
                    # What is not signed wants the key: fetch sends it there.
                    ref=None if signed else str(n),
                    expires=expires,
                    media_type="video/mp4",
                    role=str(n) if n else "",
                )
                for n, url in enumerate(signed or plain)
            ),
            raw={"generation_id": answer.get("generation_id")},
        )
        # Without any output, the pipeline asks again before it gives the job up.
        return RemoteStatus(state=state, finished=done, cost=cost, raw_state=word)
    if state is RemoteState.FAILED:
        said = answer.get("error")
        return _failed(said if isinstance(said, str) else "the generation failed", None, cost)
    return RemoteStatus(state=state, cost=cost, raw_state=word)


def _failed(message: str, code: str | None, cost: float | None) -> RemoteStatus:
    error = JobError(kind=ErrorKind.PROVIDER, message=message, code=code)
    return RemoteStatus(state=RemoteState.FAILED, error=error, cost=cost, raw_state="failed")
