"""A program that is killed again and again loses nothing and pays nothing twice.

The bounded form of ``run_soak.py``; ``nox -s soak`` runs the whole of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from run_soak import Plan, soak

from telling_kit import Tell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize(("keys", "jobs", "kills"), [("none", 50, 6), ("replay", 16, 2)])
def test_the_ledger_balances_after_many_deaths(
    keys: str, jobs: int, kills: int, tmp_path: Path, tell: Tell
) -> None:
    plan = Plan(
        folder=tmp_path,
        jobs=jobs,
        kills=kills,
        keys=keys,
        duration="lognormal:0.3,0.5",
        concurrent=jobs // 4,
        life=1.2,
        # Half a minute passes before a result is believed gone.
        leave_out="expire",
    )
    outcome = soak(plan)

    tell(f"{outcome.headline}")
    assert outcome.faults == [], str(outcome)
    assert outcome.kills >= kills
    assert outcome.ledger.charges.total() > jobs // 2


def test_a_client_that_pays_twice_is_found(tmp_path: Path) -> None:
    outcome = soak(
        Plan(folder=tmp_path, jobs=12, kills=0, seed=50, rudeness="guesses", duration="0.1")
    )

    assert outcome.report.twice
    assert "the ledger disagrees" in outcome.faults
