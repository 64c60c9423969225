"""The judge of these tests finds what a client does wrong, where no key and no cost helps it."""

from __future__ import annotations

import attrs
import httpx
import pytest
from vendor_batch import KEY, media_url
from vendor_kit import runner_of

from batchkit import BatchRunner, TranscribeVideo
from batchkit.testing import FakeClock
from batchkit.testing.vendors import VendorServer

MODEL = "fal-ai/veo3.1/fast"


def order(server: VendorServer, prompt: str) -> None:
    """A submission that no batch knows of."""
    headers = {"Authorization": f"Key {KEY}"}
    url = f"{server.url}/fal-ai/veo3.1/fast"
    assert httpx.post(url, json={"prompt": prompt}, headers=headers).is_success


@pytest.mark.parametrize("prompt", ["cat", "dog"])
def test_a_job_that_no_batch_knows_is_lost(prompt: str) -> None:
    with VendorServer("fal", api_key=KEY, polls=1) as server:
        runner = runner_of(server, model=MODEL)
        runner.add("cat")
        runner.run()
        assert server.check(runner).ok
        order(server, prompt)
        report = server.check(runner)
        assert not report.ok
        assert len(report.lost) == 1
        with pytest.raises(AssertionError, match="no batch has its handle"):
            report.raise_for_faults()


def test_an_uncertain_job_stands_for_one_charge_only() -> None:
    with VendorServer("fal", api_key=KEY) as server:
        runner = runner_of(server, model=MODEL)
        runner.add("cat [drop_after]")
        runner.run()
        assert server.check(runner).ok
        order(server, "cat")
        assert len(server.check(runner).lost) == 1


def believing(server: VendorServer, status: int, model: str | None = None) -> BatchRunner:
    """A batch whose client takes a status for proof that nothing was started."""
    client = server.client(model=model)
    client.capabilities = attrs.evolve(client.capabilities, not_accepted={status})
    return BatchRunner(client, storage="memory", clock=server.provider.clock, delay=0)


def test_a_client_that_believes_too_much_pays_twice() -> None:
    with VendorServer("fal", polls=1, clock=FakeClock()) as server:
        runner = believing(server, 500, MODEL)
        runner.add("cat [500_after]")
        runner.run()
        assert server.ledger.charged_twice() == ["cat"]
        assert not server.check(runner).ok


def test_so_it_does_where_the_answer_is_the_result() -> None:
    with VendorServer("deepgram", clock=FakeClock()) as server:
        runner = believing(server, 500)
        server.provider.script_next("500_after")
        runner.add(TranscribeVideo(source=media_url("talk.wav")))
        runner.run()
        assert server.ledger.charged_twice() == ["talk.wav"]
        assert not server.check(runner).ok
