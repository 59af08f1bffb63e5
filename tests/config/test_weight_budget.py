"""A schedule beyond the weight budget."""

import pytest
from pydantic import ValidationError

from recorder.config.secret import Secret
from recorder.config.sections import AccountSettings
from recorder.config.settings import Settings
from tests.config.given import ACCOUNT, Load, refusal


def accounts(count: int) -> tuple[AccountSettings, ...]:
    return tuple(
        AccountSettings(name=f"a{number}", api_key=Secret(f"k{number}"), api_secret=Secret("s"))
        for number in range(count)
    )


def test_a_schedule_beyond_the_weight_budget_is_refused_with_the_sum_and_the_fix(load: Load) -> None:
    text = "\n".join(ACCOUNT.replace("main", f"a{number}") for number in range(50))
    error = refusal(load, '[snapshot]\nevery = "10s"\n' + text)
    assert "needs 1520 request weight a minute" in error.what
    assert "exchange.weight_budget = 1200" in error.what
    assert "50 accounts x 5 every 10s" in error.what
    assert error.fix == 'Raise snapshot.every to at least "15s" or exchange.weight_budget to at least 1520.'


def test_the_suggested_settings_are_accepted() -> None:
    assert Settings.model_validate({"accounts": accounts(50), "snapshot": {"every": "15s"}})
    assert Settings.model_validate(
        {"accounts": accounts(50), "snapshot": {"every": "10s"}, "exchange": {"weight_budget": 1520}}
    )
    with pytest.raises(ValidationError):
        Settings.model_validate(
            {"accounts": accounts(50), "snapshot": {"every": "10s"}, "exchange": {"weight_budget": 1519}}
        )
