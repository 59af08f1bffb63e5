from pathlib import Path

import pytest

from recorder.config.settings import Settings
from tests.config.given import Load


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings in an empty folder, with *text* as its recorder.toml."""

    def load_settings(
        text: str | None = None, environ: dict[str, str] | None = None, *, need_accounts: bool = True
    ) -> Settings:
        if text is not None:
            (tmp_path / "recorder.toml").write_text(text)
            (tmp_path / "recorder.toml").chmod(0o600)
        environ = {"HOME": str(tmp_path / "home")} | (environ or {})
        return Settings.load(None, environ, tmp_path, need_accounts=need_accounts)

    return load_settings
