"""Providers' own SDKs are no dependency of ours: where one is missing, its tests are skipped.

``nox -s vendor_sdks`` installs them all, and sets ``BATCHKIT_VENDOR_SDKS``: then a missing one is a
failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

REQUIRED = "BATCHKIT_VENDOR_SDKS"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if os.environ.get(REQUIRED) and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"{REQUIRED} is set, so no SDK may be missing: {report.longrepr}"
    return report
