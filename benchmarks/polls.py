"""How often a job's state is asked for, and how late its end is noticed: batchkit and SDKs.

Each provider is our fake server of it, whose jobs take lognormal times, the same for everybody.
batchkit runs all jobs as one batch with its defaults and the provider's own client. A provider's
SDK waits for one job after the other with its own helper. Time is simulated: pauses move the
server's clock on, nobody waits, and requests take no time at all.

Measured per job, as median and as the tenth and ninetieth percentile: status queries (the query
for the result counts too), and seconds from the end of the job to the answer that tells it.

Not measured: webhooks, queries that fail, what limits of the account make of many pollers.
The SDKs of OpenRouter and of Google's Interactions have no helper. OpenAI's server asks for pauses
of a second, its SDK's own default.

Run it with ``python benchmarks/polls.py``, where the SDKs are that ``nox -s vendor_sdks`` installs.
Minutes, most of them for fal-client, which asks ten times a second.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

from _kit import table

from batchkit import BatchRunner, Request, TranscribeVideo
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer

#: Which of a provider's models generates; who has none here transcribes.
MODELS = {
    "fal": "fal-ai/veo3.1/fast",
    "google": "gemini-omni-1.2-flash",
    "openai-videos": "sora-2",
    "openrouter": "google/veo-3.1",
    "replicate": "kwaivgi/kling-v2.1",
    "runway": "gen4.5",
}


class Found(NamedTuple):
    """Status queries of each job, and how late its end was noticed, in seconds."""

    polls: list[float]
    late: list[float]


# -- batchkit -----------------------------------------------------------------------------------


def with_batchkit(vendor: str, server: VendorServer, prompts: Sequence[str]) -> Found:
    """All jobs as one batch."""
    clock = server.provider.clock
    client = server.client(**({"model": MODELS[vendor]} if vendor in MODELS else {}))
    many = len(prompts)
    requests: list[str | Request] = list(prompts)
    if vendor not in MODELS:
        requests = [TranscribeVideo(source=_address(prompt)) for prompt in prompts]
    with BatchRunner(client, storage="memory", clock=clock, delay=0, max_concurrent=many) as runner:
        runner.add_many(requests)
        runner.run()
        ended = dict(zip(prompts, (job.completed for job in runner.jobs()), strict=True))
    return _found(server, prompts, ended)


def _address(item: str) -> str:
    return f"https://media.example/{item}"


# -- SDKs ---------------------------------------------------------------------------------------


def fal(server: VendorServer) -> Callable[[str], object]:
    """``subscribe``: every 0.1 s."""
    inside: Any = _patched("fal_client.client", server)
    inside.QUEUE_URL_FORMAT = f"{server.url}/"
    sdk = inside.SyncClient(key=server.provider.api_key)
    return lambda prompt: sdk.subscribe(MODELS["fal"], arguments={"prompt": prompt})


def openai_videos(server: VendorServer) -> Callable[[str], object]:
    """``create_and_poll``: as the server asks, or every second."""
    _patched("openai._resource", server)
    sdk: Any = importlib.import_module("openai").OpenAI(
        api_key=server.provider.api_key, base_url=f"{server.url}/v1"
    )
    return lambda prompt: sdk.videos.create_and_poll(prompt=prompt)


def replicate(server: VendorServer) -> Callable[[str], object]:
    """``wait``: every 0.5 s."""
    _patched("replicate.prediction", server)
    sdk: Any = importlib.import_module("replicate").Client(
        api_token=server.provider.api_key, base_url=server.url
    )
    model = MODELS["replicate"]
    return lambda prompt: sdk.predictions.create(model=model, input={"prompt": prompt}).wait()


def runway(server: VendorServer) -> Callable[[str], object]:
    """``wait_for_task_output``: every 6 s, give or take 1.5 s; ten minutes at most."""
    _patched("runwayml.lib.polling", server)
    _patched("runwayml._base_client", server)
    sdk: Any = importlib.import_module("runwayml").RunwayML(
        api_key=server.provider.api_key, base_url=server.url
    )

    def wait(prompt: str) -> object:
        task = sdk.text_to_video.create(
            model=MODELS["runway"], prompt_text=prompt, ratio="1280:720", duration=5
        )
        return task.wait_for_task_output(timeout=None)

    return wait


def assemblyai(server: VendorServer) -> Callable[[str], object]:
    """``transcribe``: every 3 s."""
    _patched("assemblyai.prerecorded.v2.transcript", server)
    sdk: Any = importlib.import_module("assemblyai")
    settings = sdk.Settings(api_key=server.provider.api_key, base_url=server.url)
    transcriber = sdk.Transcriber(client=sdk.Client(settings=settings))
    return lambda item: transcriber.transcribe(_address(item))


def gladia(server: VendorServer) -> Callable[[str], object]:
    """``poll``: every 3 s."""
    _patched("gladiaio_sdk.v2.prerecorded.client", server)
    sdk: Any = importlib.import_module("gladiaio_sdk")
    made = sdk.GladiaClient(api_key=server.provider.api_key, api_url=server.url).prerecorded()
    return lambda item: made.poll(made.create({"audio_url": _address(item)}).id)


def speechmatics(server: VendorServer) -> Callable[[str], object]:
    """``wait_for_completion``: from 0.5 s, growing to 5 s."""
    _patched("speechmatics.batch._sync_client", server)
    sdk: Any = importlib.import_module("speechmatics.batch")
    models: Any = importlib.import_module("speechmatics.batch._models")
    client = sdk.Client(api_key=server.provider.api_key, url=f"{server.url}/v2")

    def wait(item: str) -> object:
        config = sdk.JobConfig(
            type=sdk.JobType.TRANSCRIPTION,
            transcription_config=sdk.TranscriptionConfig(language="en"),
            fetch_data=models.FetchData(url=_address(item)),
        )
        return client.wait_for_completion(client.submit_job(None, config=config).id)

    return wait


#: Who waits in a way of their own; add the SDK of another provider here.
SDKS: dict[str, tuple[str, Callable[[VendorServer], Callable[[str], object]]]] = {
    "assemblyai": ("assemblyai", assemblyai),
    "fal": ("fal-client", fal),
    "gladia": ("gladiaio-sdk", gladia),
    "openai-videos": ("openai", openai_videos),
    "replicate": ("replicate", replicate),
    "runway": ("runwayml", runway),
    "speechmatics": ("speechmatics-batch", speechmatics),
}
VENDORS = sorted({*MODELS, *SDKS})


def _patched(module: str, server: VendorServer) -> Any:
    """A module whose pauses move the server's clock on."""
    found: Any = importlib.import_module(module)
    clock: Any = server.provider.clock
    found.time = SimpleNamespace(
        sleep=clock.advance, time=clock.time, monotonic=clock.monotonic, perf_counter=clock.time
    )
    return found


def with_sdk(vendor: str, server: VendorServer, prompts: Sequence[str]) -> Found:
    """One job after the other.

    Raises:
        ImportError: the SDK is not installed.
    """
    wait = SDKS[vendor][1](server)
    ended: dict[str, float | None] = {}
    for prompt in prompts:
        wait(prompt)
        ended[prompt] = server.provider.clock.time()
    return _found(server, prompts, ended)


# -- counting -----------------------------------------------------------------------------------


def _found(server: VendorServer, prompts: Sequence[str], ended: dict[str, float | None]) -> Found:
    late = []
    for job in server.provider.jobs.values():
        noticed = ended[job.item]
        assert noticed is not None, f"{job.item} did not end"
        late.append(noticed - job.started - (job.seconds or 0.0))
    assert len(late) == len(prompts), "a job was submitted twice"
    return Found([float(server.ledger.polls[prompt]) for prompt in prompts], late)


@contextmanager
def _server(vendor: str, options: argparse.Namespace) -> Iterator[VendorServer]:
    with VendorServer(
        vendor, clock=FakeClock(), duration=options.duration, seed=options.seed
    ) as server:
        yield server


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1f}"
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return f"{statistics.median(values):.1f} [{tenths[0]:.1f}..{tenths[-1]:.1f}]"


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    prompts = [f"item-{number:04d}" for number in range(options.jobs)]
    for vendor in options.only or VENDORS:
        ways = [("batchkit", with_batchkit)]
        if vendor in SDKS:
            ways.append((SDKS[vendor][0], with_sdk))
        for name, way in ways:
            try:
                with _server(vendor, options) as server:
                    found = way(vendor, server, prompts)
            except ModuleNotFoundError as exc:
                if "." in (exc.name or ""):
                    raise  # it is installed, and another version than this knows
                yield [f"{vendor}: {name}", "not installed", ""]
            else:
                yield [f"{vendor}: {name}", _spread(found.polls), _spread(found.late)]


def main() -> None:
    parser = argparse.ArgumentParser(description="polls per job, and how late the end is noticed")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--duration", default="lognormal:60,0.5", help="of the jobs, in seconds")
    parser.add_argument("--seed", default="1")
    # Every benchmark takes a folder for its files; this one has none.
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--only", action="append", choices=VENDORS)
    options = parser.parse_args()
    # Each SDK warns of other things; none of them is about time.
    warnings.simplefilter("ignore", DeprecationWarning)
    dialect: Any = importlib.import_module("batchkit.testing.vendors._openai_videos")
    dialect.POLL_AFTER = 1000
    rows = list(_rows(options))
    print(f"{options.jobs} jobs of {options.duration} s, seed {options.seed}; median [p10..p90]")
    print(table(["who waits", "polls per job", "seconds late"], rows))


if __name__ == "__main__":
    main()
