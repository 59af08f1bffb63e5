"""The settings of this process: read once by each command, before anything else."""

import os
from pathlib import Path

import typer

from recorder.config.settings import Settings
from recorder.logs import Redactor, configure_logging

_LEVELS = ("debug", "info", "warning", "error")


def load(config: Path | None, log_level: str, *, need_accounts: bool = True) -> Settings:
    """Read the settings and set up logging, which from now on shows no secret. Raises ``ConfigurationError``."""
    settings, _ = load_with_redactor(config, log_level, need_accounts=need_accounts)
    return settings


def load_with_redactor(config: Path | None, log_level: str, *, need_accounts: bool = True) -> tuple[Settings, Redactor]:
    """Do the same, and return also who must be told the secrets that are learned later."""
    if log_level.lower() not in _LEVELS:
        raise typer.BadParameter(f"{log_level!r} is no level; choose {', '.join(_LEVELS)}", param_hint="--log-level")
    configure_logging(log_level, json=None, secrets=())
    settings = Settings.load(config, os.environ, Path.cwd(), need_accounts=need_accounts)
    return settings, configure_logging(log_level, json=None, secrets=settings.secret_values())
