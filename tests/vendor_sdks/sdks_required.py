"""A plugin of pytest: a provider's SDK that is missing fails its tests, instead of skipping them.

SDKs are no dependency of ours. ``nox -s vendor_sdks`` installs them all, and loads this plugin with
``-p sdks_required``.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"no SDK may be missing here: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"no SDK may be missing here: {report.longrepr}"
    return report
