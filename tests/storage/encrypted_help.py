"""What the tests of the encrypted storage share."""

from __future__ import annotations

import base64
from pathlib import Path

from sqlite_help import NOW

from batchkit import Artifact, ErrorKind, GenerateVideo, Handle, Job, JobError, JobResult, JobStatus
from batchkit._config import Control
from batchkit._events import BatchPaused, JobFailed, JobSubmitted
from batchkit._requests import dump_request
from batchkit._results import Output, Transcript
from batchkit.storage import Change, EncryptedStorage, Entry, NewJob, Storage, generate_key

_S = JobStatus

KEY, OTHER_KEY = generate_key(), generate_key()

#: In every text that is planted; a name of nothing else.
CANARY = "kanarek"


def canary(field: str) -> str:
    """What a field holds; each another text, with signs outside of ASCII."""
    return f"{CANARY} {field} ação \u2028 {CANARY}"


def planted_request(name: str) -> GenerateVideo:
    params = {canary("param name"): [canary("param"), {"deep": canary("deep param")}]}
    return GenerateVideo(
        prompt=canary(f"prompt {name}"),
        language=canary("language"),
        model=canary("model"),
        image=f"https://x/{canary('image')}",
        params=params,
    )


def planted_item(name: str) -> NewJob:
    request = planted_request(name)
    return NewJob(
        identity=f"key:{canary(name)}",
        request=request,
        stored=dump_request(request),
        metadata={canary("fact"): canary("metadata")},
    )


def planted_handle(name: str) -> Handle:
    return Handle(id=canary(f"handle {name}"), data={"url": f"https://x/?sig={canary('url')}"})


def planted_error() -> JobError:
    return JobError(
        kind=ErrorKind.PROVIDER,
        message=canary("message"),
        code=canary("code"),
        remedy=canary("remedy"),
    )


def planted_result() -> JobResult:
    return JobResult(
        outputs=(
            Output(url=f"https://x/?sig={canary('output')}", ref=canary("ref")),
            Output(data=canary("bytes").encode()),
            Output(transcript=Transcript(text=canary("said"))),
        ),
        artifacts=(Artifact(path=Path("out", canary("file")), size=1, sha256="ab"),),
        text=canary("text"),
        value={canary("value name"): canary("value")},
        raw={"id": canary("raw")},
    )


def plant(storage: Storage) -> int:
    """A batch whose every input holds a canary; its id."""
    batch = storage.open_batch("clear name", NOW).id
    storage.update_batch(
        batch, config=f'{{"output":"/{canary("output")}"}}', client_ref=canary("account")
    )
    line = Entry(BatchPaused.kind, NOW, data={"reason": canary("reason"), "n": [canary("list")]})
    storage.set_control(batch, Control.PAUSED, canary("control"), line)
    storage.add(batch, [planted_item(name) for name in "abcd"], NOW)
    epoch = storage.acquire(batch)
    done, failed, running, held = storage.claim(batch, epoch, 4, NOW)
    handle = planted_handle("done")
    sent = done.to(_S.SUBMITTING, attempt=1, prepared={canary("upload"): canary("file id")})
    storage.save([Change(sent, done)])
    told = Entry(JobSubmitted.kind, NOW, done.id, 1, _evidence(handle))
    known = sent.to(_S.PROCESSING, handle=handle)
    storage.save([Change(known, sent, [told], power_safe=True, told=[JobSubmitted])])
    after = known.to(_S.COLLECTING, result=planted_result(), cost=0.5)
    storage.save([Change(after, known, result=True)])
    error = planted_error()
    line = Entry(JobFailed.kind, NOW, failed.id, 0, {"error": {"message": error.message}})
    storage.save([Change(failed.to(_S.FAILED, error=error), failed, [line])])
    storage.rescue([rescued(running)])
    storage.steer(held.to(_S.PAUSED, metadata={canary("person"): canary("wish")}), _S.PENDING, line)
    storage.append(batch, [Entry("custom", NOW, held.id, 0, {canary("name"): canary("custom")})])
    return batch


def rescued(job: Job, handle: Handle | None = None) -> Change:
    """A submission that was accepted, and whose save failed."""
    handle = planted_handle("rescued") if handle is None else handle
    sent = job.evolve(status=_S.SUBMITTING, attempt=1)
    line = Entry(JobSubmitted.kind, NOW, job.id, 1, _evidence(handle))
    return Change(sent.to(_S.PROCESSING, handle=handle), sent, [line], told=[JobSubmitted])


def _evidence(handle: Handle) -> dict[str, object]:
    return {"handle": {"id": handle.id, "data": dict(handle.data)}}


def traces(folder: Path) -> list[str]:
    """The files that hold a canary, in clear or merely encoded."""
    forms = [CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.encode().hex().encode()]
    # Base64 of a text depends on how many bytes stand before it; its middle does not.
    forms += [base64.b64encode(b"x" * n + CANARY.encode())[4:-4] for n in range(3)]
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


def encrypted(storage: Storage | str | Path, key: str = KEY) -> EncryptedStorage:
    """A storage under the key of these tests."""
    return EncryptedStorage(storage, key=key)


def key_file(folder: Path, text: str = KEY, mode: int = 0o600) -> Path:
    """A file that holds a key."""
    path = folder / "key"
    path.write_text(text + "\n")
    path.chmod(mode)
    return path
