"""Records to JSON and back, for every storage. Paths become strings, bytes become base85."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattrs.preconf.json
from cattrs.gen import make_dict_unstructure_fn

from batchkit._config import BatchConfig
from batchkit._jobs import Handle, JobError
from batchkit._limits import RateLimit
from batchkit._results import Artifact, JobResult, Output, Segment, Transcript, Word
from batchkit._retry import RetryPolicy

_converter = cattrs.preconf.json.make_converter()
_converter.register_unstructure_hook(Path, str)
_converter.register_structure_hook(Path, lambda value, _: Path(value))
_converter.register_unstructure_hook(RateLimit, str)
_converter.register_structure_hook(RateLimit, lambda value, _: RateLimit.parse(value))
for _cls in (Handle, JobError, Word, Segment, Transcript, Output, Artifact, JobResult):
    _converter.register_unstructure_hook(
        _cls, make_dict_unstructure_fn(_cls, _converter, _cattrs_omit_if_default=True)
    )


def dumps(value: Any) -> str:
    """Plain JSON values as one line.

    What is not JSON becomes its ``repr``: by now it has been paid for, and must not be lost.
    """
    try:
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
        line.encode()
    except (TypeError, ValueError):
        # Keys that are not text, or half of a surrogate pair, as providers make by cutting texts.
        return json.dumps(_with_text_keys(value), separators=(",", ":"), default=repr)
    return line


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        names = {key if isinstance(key, str) else repr(key): item for key, item in value.items()}
        return {name: _with_text_keys(item) for name, item in names.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item) for item in value]
    return value


def plain_handle(handle: Handle) -> dict[str, Any]:
    """A handle as JSON values."""
    return dict(_converter.unstructure(handle))


def load_handle(data: Mapping[str, Any]) -> Handle:
    """The handle that :func:`plain_handle` wrote."""
    return _converter.structure(data, Handle)


def plain_error(error: JobError) -> dict[str, Any]:
    """An error as JSON values."""
    return dict(_converter.unstructure(error))


def load_error(data: Mapping[str, Any]) -> JobError:
    """The error that :func:`plain_error` wrote."""
    return _converter.structure(data, JobError)


def plain_result(result: JobResult) -> dict[str, Any]:
    """A result as JSON values."""
    return dict(_converter.unstructure(result))


def result_from(data: Mapping[str, Any]) -> JobResult:
    """The result that :func:`plain_result` wrote."""
    return _converter.structure(data, JobResult)


def dump_result(result: JobResult) -> str:
    """A result as one line of JSON."""
    return dumps(plain_result(result))


def load_result(text: str) -> JobResult:
    """The result that :func:`dump_result` wrote."""
    return result_from(json.loads(text))


#: Code cannot be stored: a program that wants its own policy gives it again.
_NOT_STORED = ("retry",)


def dump_config(config: BatchConfig) -> str:
    """A configuration as one line of JSON, without replaced policies (they are code)."""
    data = _converter.unstructure(config)
    for name in _NOT_STORED:
        data.pop(name)
    return dumps(data)


def load_config(text: str) -> BatchConfig:
    """The configuration that :func:`dump_config` wrote; options of other versions are left out."""
    known = {name: value for name, value in json.loads(text).items() if hasattr(_DEFAULTS, name)}
    return _converter.structure(known, BatchConfig)


_DEFAULTS = BatchConfig()
_converter.register_structure_hook(RetryPolicy, lambda value, _: RetryPolicy())
