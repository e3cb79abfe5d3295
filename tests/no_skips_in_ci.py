"""A pytest hook: what .ci/run installs for must not be skipped there.

Tests skip in a fixture or in the test, never while a module is imported: a module that was never collected has no
markers for this rule to see.
"""

import os
from collections.abc import Generator

import pytest

INSTALLED_IN_CI = ("slurm", "chromium", "datasets")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of a `slurm`, `chromium` or `datasets` test into a failure where CI=true (.ci/run installs them)."""
    report = yield
    expected_to_fail = hasattr(report, "wasxfail")
    if report.skipped and not expected_to_fail and os.environ.get("CI", "").lower() in ("1", "true"):
        for marker in INSTALLED_IN_CI:
            if item.get_closest_marker(marker):
                reason = call.excinfo.value if call.excinfo else report.longreprtext
                report.outcome = "failed"
                report.longrepr = f"a {marker} test must not be skipped under CI: {reason}"
    return report
