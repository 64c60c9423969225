"""Exceptions: what they are, what they say, and that they survive a trip to another process."""

from __future__ import annotations

import copy
import pickle

import pytest

import batchkit
from batchkit import (
    BatchkitError,
    ClientError,
    InvalidTransitionError,
    MissingExtraError,
    NotAcceptedError,
    OutcomeUnknownError,
    RateLimitedError,
    StorageError,
    UsageError,
    _errors,
)


def family(root: type[BatchkitError]) -> list[type[BatchkitError]]:
    found = [root]
    for cls in root.__subclasses__():
        # Private ones elsewhere, and those of other tests, are nobody's promise.
        if vars(_errors).get(cls.__name__) is cls:
            found += family(cls)
    return found


ALL = sorted(set(family(BatchkitError)), key=lambda cls: cls.__name__)
CLIENT = sorted(set(family(ClientError)), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", ALL)
def test_every_error_is_public_and_told_in_the_tree(cls: type[BatchkitError]) -> None:
    assert getattr(batchkit, cls.__name__) is cls
    assert cls.__module__ == "batchkit"
    assert cls.__name__ in (_errors.__doc__ or "")


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(UsageError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(batchkit.JobNotFoundError, LookupError)
    assert issubclass(batchkit.BatchBusyError, StorageError)


@pytest.mark.parametrize("cls", CLIENT)
def test_what_a_client_says(cls: type[ClientError]) -> None:
    said = cls("no", code="E1", retry_after=2.0)
    assert (str(said), said.code, said.retry_after) == ("no", "E1", 2.0)
    assert said.retryable is issubclass(cls, NotAcceptedError)
    assert cls(retryable=True).retryable is True
    assert cls(retryable=False).retryable is False


def test_a_client_that_says_nothing() -> None:
    assert str(OutcomeUnknownError()) == "Nobody can tell whether the submission was accepted."
    assert RateLimitedError().retryable


class UndocumentedError(ClientError):
    pass


def test_a_client_error_without_a_word() -> None:
    UndocumentedError.__doc__ = None
    assert str(UndocumentedError()) == ""


def test_a_missing_extra_names_the_command() -> None:
    error = MissingExtraError("the screen", "cli")
    assert str(error) == 'the screen needs the extra "cli": pip install "batchkit-video[cli]"'
    assert error.extra == "cli"


SAMPLES = (
    UsageError("x"),
    RateLimitedError("x", code="429", retry_after=2.0),
    MissingExtraError("the screen", "cli"),
    InvalidTransitionError(7, "pending", "completed"),
)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_go_to_other_processes(error: BatchkitError) -> None:
    """A process pool hangs on a result that cannot be unpickled."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
