"""The fake provider does what each word of its script says, and its ledger tells the truth."""

from __future__ import annotations

import threading

import pytest

from batchkit import (
    BatchRunner,
    Capabilities,
    Handle,
    JobStatus,
    NotAcceptedError,
    NotFoundError,
    OutcomeUnknownError,
    Output,
    RateLimitedError,
    RejectedError,
    RemoteState,
    ResultExpiredError,
)
from batchkit.storage import MemoryStorage
from batchkit.testing import (
    SCRIPTS,
    AsyncFakeClient,
    Crash,
    CrashAt,
    FakeClient,
    FakeClock,
    FakeProvider,
    content,
    items,
)

WORD_ENDS = {
    "ok": "completed",
    "slow": "completed",
    "reject": "failed",
    "busy": "completed",
    "limit": "completed",
    "drop_before": "uncertain",
    "drop_after": "uncertain",
    "fail": "failed",
    "flaky": "completed",
    "blips": "completed",
    "unknown": "completed",
    "expire": "completed",
    "lost": "failed",
    # the connection
    "reset": "uncertain",
    "reset_after": "uncertain",
    "hang": "uncertain",
    "hang_after": "uncertain",
    "late": "uncertain",
    "cut": "uncertain",
    "noise": "uncertain",
    "refuse": "completed",
    # the answer
    "401": "pending",
    "402": "pending",
    "403": "pending",
    "404": "uncertain",
    "408": "uncertain",
    "409": "uncertain",
    "425": "uncertain",
    "429": "completed",
    "500": "uncertain",
    "502": "uncertain",
    "503": "uncertain",
    "504": "uncertain",
    "408_after": "uncertain",
    "409_after": "uncertain",
    "500_after": "uncertain",
    "502_after": "uncertain",
    "503_after": "uncertain",
    "504_after": "uncertain",
    "garbage": "uncertain",
    "wrong_json": "uncertain",
    "no_id": "uncertain",
    # the job
    "flap": "completed",
    "backwards": "completed",
    "empty": "failed",
    "unseen": "completed",
}


def test_every_word_has_an_end_that_is_known() -> None:
    assert sorted(WORD_ENDS) == sorted(SCRIPTS)


@pytest.mark.parametrize("word", SCRIPTS)
def test_each_word_ends_a_job_as_it_says(word: str) -> None:
    clock = FakeClock()
    provider = FakeProvider(clock=clock)
    runner = BatchRunner(FakeClient(provider), storage=MemoryStorage(), clock=clock, delay=0)
    job = runner.add(f"cat [{word}]")
    runner.run()

    assert runner.job(job).status == WORD_ENDS[word]
    assert (provider.ledger.charges.total() == 0) == (word in NEVER_STARTED)
    assert provider.ledger.check(runner).ok


#: Words of a submission that reach the provider and start nothing there.
NEVER_STARTED = (
    "reject",
    "drop_before",
    "reset",
    "hang",
    *("401", "402", "403", "404", "408", "409", "425", "500", "502", "503", "504"),
)


@pytest.mark.parametrize(
    ("word", "error", "charged"),
    [
        ("reject", RejectedError, 0),
        ("busy", NotAcceptedError, 0),
        ("limit", RateLimitedError, 0),
        ("drop_before", OutcomeUnknownError, 0),
        ("drop_after", OutcomeUnknownError, 1),
    ],
)
def test_a_word_that_breaks_a_submission(word: str, error: type[Exception], charged: int) -> None:
    provider = FakeProvider()

    with pytest.raises(error):
        provider.submit(f"cat [{word}]", "key")

    assert provider.ledger.submissions == {"cat": 1}
    assert provider.ledger.charges.total() == charged


def test_words_apply_to_one_submission_each_and_then_all_is_well() -> None:
    provider = FakeProvider()
    for error in (NotAcceptedError, RejectedError):
        with pytest.raises(error):
            provider.submit("cat [busy reject]", "key")

    assert provider.submit("cat [busy reject]", "key").data == {"item": "cat"}
    assert provider.ledger.submissions == {"cat": 3}


def states(provider: FakeProvider, prompt: str, polls: int) -> list[str]:
    handle = provider.submit(prompt, "key")
    return [str(provider.poll(handle).state) for _ in range(polls)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ok", ["running", "succeeded", "succeeded"]),
        ("fail", ["running", "failed", "failed"]),
        ("flaky", ["running", "failed", "failed"]),
        ("unknown", ["running", "succeeded", "succeeded"]),
    ],
)
def test_an_end_is_final(word: str, expected: list[str]) -> None:
    assert states(FakeProvider(polls=2), f"cat [{word}]", 3) == expected


def test_slow_takes_ten_times_as_many_polls() -> None:
    assert states(FakeProvider(polls=2), "cat [slow]", 20).index("succeeded") == 19


def test_blips_break_three_queries() -> None:
    provider = FakeProvider(polls=1)
    handle = provider.submit("cat [blips]", "key")
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            provider.poll(handle)

    assert provider.poll(handle).state is RemoteState.SUCCEEDED
    assert provider.ledger.polls == {"cat": 4}


def test_an_unknown_word_is_told_as_the_provider_says_it() -> None:
    provider = FakeProvider(polls=2)
    status = provider.poll(provider.submit("cat [unknown]", "key"))

    assert (status.state, status.raw_state) == (RemoteState.RUNNING, "simmering")
    assert status.progress == 0.5


@pytest.mark.parametrize("prompt", ["cat [lost]", None])
def test_lost_and_unheard_of_jobs_are_not_found(prompt: str | None) -> None:
    provider = FakeProvider()
    handle = provider.submit(prompt, "key") if prompt else Handle(id="remote-9")

    with pytest.raises(NotFoundError):
        provider.poll(handle)


def test_flaky_says_that_repeating_helps_and_fail_does_not() -> None:
    provider = FakeProvider(polls=1)
    errors = {w: provider.poll(provider.submit(f"{w} [{w}]", w)).error for w in ("flaky", "fail")}

    assert {word: error and error.retryable for word, error in errors.items()} == {
        "flaky": True,
        "fail": False,
    }


def test_a_result_is_fetched_and_an_expired_one_is_gone() -> None:
    provider = FakeProvider()
    good, gone = provider.submit("cat", "1"), provider.submit("dog [expire]", "2")

    assert provider.fetch(Output(ref=good.id)) == content("cat")
    with pytest.raises(ResultExpiredError):
        provider.fetch(Output(ref=gone.id))
    assert provider.ledger.downloads == {"cat": 1}


def test_a_cancel_ends_what_runs_and_nothing_else() -> None:
    provider = FakeProvider(polls=1)
    running, done = provider.submit("cat", "1"), provider.submit("dog", "2")
    provider.poll(done)

    assert [provider.cancel(running), provider.cancel(running)] == [True, True]
    assert not provider.cancel(done)
    assert provider.ledger.cancels == {"cat": 1}
    status = provider.poll(running)
    assert (status.state, status.error) == (RemoteState.CANCELED, None)


def test_a_provider_that_keeps_keys_replays_them_and_charges_once() -> None:
    provider = FakeProvider(keeps_keys=True)

    first, again, other = (provider.submit("cat", key) for key in ("k", "k", "l"))

    assert first.id == again.id != other.id
    assert provider.ledger.charges == {"cat": 2}
    assert provider.ledger.submissions == {"cat": 3}
    assert provider.ledger.charged_twice() == ["cat"]
    assert provider.find("k") == Handle(id=first.id)
    assert provider.find("m") is None


def test_one_that_keeps_none_starts_another_job() -> None:
    provider = FakeProvider()

    assert provider.submit("cat", "k").id != provider.submit("cat", "k").id


def test_the_ledger_holds_when_threads_submit() -> None:
    provider = FakeProvider()
    threads = [
        threading.Thread(target=provider.submit, args=("cat", str(number))) for number in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert provider.ledger.charges == {"cat": 50}
    assert len({remote.id for remote in provider.jobs.values()}) == 50


def test_the_price_is_told_with_the_end() -> None:
    provider = FakeProvider(polls=1, price=0.25)

    assert provider.poll(provider.submit("cat", "1")).cost == 0.25
    assert provider.poll(provider.submit("dog [fail]", "2")).cost == 0.25


def test_a_client_may_fail_before_any_operation() -> None:
    seen: list[str] = []
    client = FakeClient(FakeProvider(), before=seen.append)
    runner = BatchRunner(client, storage=MemoryStorage(), clock=FakeClock(), delay=0)
    runner.add("cat")
    runner.run()

    assert seen == ["submit", "poll", "poll"]


def test_a_client_with_a_look_up_settles_what_is_uncertain() -> None:
    provider = FakeProvider(keeps_keys=True)
    client = FakeClient(provider, lookup=True)
    runner = BatchRunner(client, storage=MemoryStorage(), clock=FakeClock(), delay=0)
    runner.add_many(["cat [drop_after]", "dog [drop_before]"])

    assert runner.run().ok
    assert provider.ledger.charges == {"cat": 1, "dog": 1}


def test_the_async_client_cancels_and_fetches_like_the_other() -> None:
    provider = FakeProvider(polls=50)
    runner = BatchRunner(
        AsyncFakeClient(provider), storage=MemoryStorage(), clock=FakeClock(), delay=0
    )
    job = runner.add("cat")

    def hook(point: str) -> None:
        if point == "poll:before":
            runner.cancel(job)

    runner.hook = hook
    runner.run()

    assert runner.job(job).status is JobStatus.CANCELED
    assert provider.ledger.cancels == {"cat": 1}
    assert AsyncFakeClient(provider, capabilities=Capabilities()).capabilities == Capabilities()


def test_the_crash_hook_counts_and_dies_once() -> None:
    hook = CrashAt(2)
    hook("first")
    with pytest.raises(Crash, match="second"):
        hook("second")
    hook("third")

    assert hook.passed == ["first", "second", "third"]
    assert not issubclass(Crash, Exception), "nothing may catch the death of a process"


def test_items_are_prompts_without_their_scripts() -> None:
    assert items(["cat [busy]", "dog"]) == ["cat", "dog"]
