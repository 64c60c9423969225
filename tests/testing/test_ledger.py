"""The ledger counts from the provider's side, survives processes, and catches who pays twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchkit import BatchRunner, Handle, Job, JobStatus, NotAcceptedError
from batchkit.storage import MemoryStorage
from batchkit.testing import FakeClient, FakeClock, FakeProvider, Ledger
from batchkit.testing._ledger_check import item_of

MakeRunner = Callable[..., BatchRunner]


def runner_of(provider: FakeProvider, client: object = None, **options: Any) -> BatchRunner:
    used = client or FakeClient(provider)
    return BatchRunner(used, storage=MemoryStorage(), clock=FakeClock(), delay=0, **options)


# -- counting ------------------------------------------------------------------------------------


def test_charges_are_whole_cents() -> None:
    provider = FakeProvider(price=0.1)
    for number in range(3):
        provider.submit("cat", str(number))

    assert provider.ledger.cents == {"cat": 30}
    assert provider.ledger.total_cents == 30


def test_a_ledger_in_a_file_outlives_its_provider(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = FakeProvider(ledger=Ledger.append(path), polls=1)
    handle = first.submit("cat", "one")
    first.poll(handle)
    first.cancel(first.submit("dog", "two"))
    second = FakeProvider(ledger=Ledger.append(path))
    second.submit("cat", "three")
    found = Ledger.read(path)

    assert found.charges == second.ledger.charges == {"cat": 2, "dog": 1}
    assert found.cents == {"cat": 200, "dog": 100}
    assert found.cancels == {"dog": 1}
    assert found.by_key == {"one": 1, "two": 1, "three": 1}
    states = {job: bill.state for job, bill in found.bills.items()}
    assert states == {"remote-1": "succeeded", "remote-2": "canceled", "remote-3": "running"}


def test_a_line_that_death_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    FakeProvider(ledger=Ledger.append(path)).submit("cat", "one")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"what": "charge", "it')

    assert Ledger.read(path).charges == {"cat": 1}
    assert all(json.loads(line)["item"] == "cat" for line in whole.splitlines())


def test_a_ledger_travels_as_json() -> None:
    provider = FakeProvider(price=0.25)
    runner = runner_of(provider, output=None)
    runner.add_many(["ação", "dog [flaky]"])
    runner.run()
    again = Ledger.from_dict(json.loads(json.dumps(provider.ledger.as_dict())))

    assert again.as_dict() == provider.ledger.as_dict()
    assert again.check(runner).ok


# -- checking ------------------------------------------------------------------------------------

EVERYTHING = (
    "ant",
    "bee [busy limit]",
    "cat [flaky]",
    "dog [fail]",
    "elk [drop_after]",
    "fox [drop_before]",
    "gnu [reject]",
    "hen [expire]",
    "ibis [empty]",
    "jay [lost]",
    "kiwi [blips]",
)


def test_a_batch_that_keeps_its_promises_is_clean(tmp_path: Path) -> None:
    provider = FakeProvider(price="uniform:0.05,3")
    runner = runner_of(provider, output=str(tmp_path))
    runner.add_many(EVERYTHING)
    runner.run()
    report = provider.ledger.check(runner)

    report.raise_for_faults()
    assert (report.lost, report.twice) == ((), ())
    assert report.cents == report.known_cents + report.unaccounted_cents
    # One that nobody can vouch for, and one that was given up.
    items = {provider.jobs[job].item for job in report.unaccounted}
    assert items == {"elk", "jay"}
    assert runner.progress().cost == pytest.approx(report.known_cents / 100)


def test_before_and_in_the_middle_of_a_run_nothing_is_wrong() -> None:
    provider = FakeProvider()
    runner = runner_of(provider)
    runner.add_many(["ant", "bee", "cat"])
    assert provider.ledger.check(runner).ok
    checked: list[bool] = []
    runner.hook = lambda point: checked.append(provider.ledger.check(runner).ok)
    runner.run()

    assert len(checked) > 10
    assert all(checked)


class Guesses(FakeClient):
    """Takes every failure for proof that nothing was accepted."""

    def submit(self, job: Job) -> object:  # type: ignore[override]
        try:
            return super().submit(job)
        except Exception as exc:
            raise NotAcceptedError("it broke") from exc


class Repeats(FakeClient):
    """Submits again behind batchkit's back."""

    def submit(self, job: Job) -> object:  # type: ignore[override]
        super().submit(job)
        return super().submit(job)


def test_a_second_payment_is_found_with_its_item_and_its_sum() -> None:
    provider = FakeProvider(price=0.5)
    runner = runner_of(provider, Guesses(provider))
    runner.add_many(["cat [drop_after]", "dog"])
    runner.run()
    report = provider.ledger.check(runner)

    assert report.twice == ("cat",)
    assert report.lost == ("remote-1",)
    assert not report.ok
    with pytest.raises(AssertionError) as raised:
        report.raise_for_faults()
    shown = str(raised.value)
    assert "paid twice: remote-1" in shown
    assert "lost: remote-1" in shown
    assert "2 items: charged 1.50, known 1.00, listed 0.50; 1 lost, 1 paid twice" in shown


def test_a_repeat_under_the_same_key_is_found() -> None:
    provider = FakeProvider()
    runner = runner_of(provider, Repeats(provider))
    runner.add("cat")
    runner.run()
    report = provider.ledger.check(runner)

    assert (report.twice, report.lost) == (("cat",), ("remote-1",))


def test_what_a_person_allowed_is_no_fault() -> None:
    provider = FakeProvider()
    runner = runner_of(provider)
    job = runner.add("cat [drop_after]")
    runner.run()
    runner.retry(job, resubmit=True)
    runner.run()

    assert provider.ledger.charged_twice() == ["cat"]
    assert provider.ledger.check(runner).twice == ("cat",)
    allowed = provider.ledger.check(runner, allowed=["cat"])
    assert allowed.ok
    assert allowed.unaccounted == ("remote-1",)


def test_a_handle_that_a_person_found_is_known() -> None:
    provider = FakeProvider()
    runner = runner_of(provider)
    job = runner.add("cat [drop_after]")
    runner.run()
    runner.resolve(job, Handle(id="remote-1"))
    runner.run()

    assert runner.job(job).status is JobStatus.COMPLETED
    assert provider.ledger.check(runner).ok


def test_a_job_that_nobody_knows_is_lost() -> None:
    provider = FakeProvider()
    provider.submit("cat", "a key of nobody")

    assert provider.ledger.check(runner_of(provider)).lost == ("remote-1",)


def test_money_that_does_not_add_up_is_told() -> None:
    provider = FakeProvider(price=0.5)
    runner = runner_of(provider)
    runner.add("cat")
    runner.run()
    provider.ledger.cents["cat"] += 1
    provider.ledger.bills["remote-1"].cents += 1
    report = provider.ledger.check(runner)

    assert not report.balances
    assert "money: 0.51 were charged for what ended, and the batch knows 0.50" in str(report)


def test_a_cancelled_job_counts_either_way() -> None:
    provider = FakeProvider(polls=50)
    runner = runner_of(provider)
    job, other = runner.add("cat"), runner.add("dog")

    def hook(point: str) -> None:
        if point == "poll:before":
            runner.cancel(job)
            # The provider's own people cancelled this one: a status query tells it, and the cost.
            provider.halt(provider.jobs["remote-2"])

    runner.hook = hook
    runner.run()

    assert {runner.job(each).status for each in (job, other)} == {JobStatus.CANCELED}
    assert provider.ledger.check(runner).ok


def test_several_batches_share_a_provider() -> None:
    provider = FakeProvider()
    runners = [runner_of(provider) for _ in range(2)]
    for number, runner in enumerate(runners):
        runner.add(f"item {number}")
        runner.run()

    assert provider.ledger.check(*runners).ok
    assert provider.ledger.check(runners[0]).lost == ("remote-2",)


def test_a_long_report_shows_what_is_wrong() -> None:
    provider = FakeProvider()
    runner = runner_of(provider)
    runner.add_many(f"item {number}" for number in range(80))
    runner.run()

    assert str(provider.ledger.check(runner)).startswith("80 items: charged 80.00")


def test_items_are_prompts_without_scripts() -> None:
    runner = runner_of(FakeProvider())

    assert item_of(runner.add("cat [busy]")) == "cat"
