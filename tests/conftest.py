"""What every test shares: hypothesis profiles, the data folder, and the rule that nothing is skipped."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same cases in every run; `--hypothesis-profile=soak` draws new ones, many, for long runs.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile(
    "soak",
    max_examples=10_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


def _refuse_skip(report: Any) -> None:
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"a test of this project runs or fails; this one was skipped: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(report)
    return report
