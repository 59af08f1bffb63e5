"""Where settings are written: the configuration file and the environment."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, TomlConfigSettingsSource

from recorder.config.problem import InvalidSetting
from recorder.config.secret import SecretReader
from recorder.exceptions import ConfigurationError

FILE_NAME = "recorder.toml"
FILE_VARIABLE = "RECORDER_CONFIG"
PREFIX = "RECORDER_"
_SECRET_KEYS = frozenset({"url", "api_key", "api_secret", "private_key"})
_FOLDER_KEY = "data_dir"

Section = dict[str, Any]


def home_of(environ: Mapping[str, str]) -> Path:
    """Return the user's home, which a service may have no variable for."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def find_file(config: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the configuration file in force, ``None`` when there is none.

    Raises ConfigurationError when one is named and is not there: falling back to another would hide the mistake.
    """
    variable = environ.get(FILE_VARIABLE)
    named = config if config is not None or not variable else Path(variable)
    candidates = [cwd / FILE_NAME, _user_folder(environ) / "position-recorder" / FILE_NAME]
    try:
        if named is not None:
            file = cwd / named
            if not file.is_file():
                raise ConfigurationError(
                    f"There is no configuration file {file}.",
                    why="It is named by " + ("--config." if config is not None else f"${FILE_VARIABLE}."),
                    fix="Name the right file, or name none and set BINANCE_API_KEY and BINANCE_API_SECRET.",
                )
            return file
        return next((candidate for candidate in candidates if candidate.is_file()), None)
    except OSError as exc:
        raise ConfigurationError(
            f"The configuration file cannot be looked for: {exc.strerror}: {exc.filename}.",
            why="The recorder's user may not enter that folder.",
            fix="Start in another folder, or name the file with --config.",
        ) from exc


def read_file(settings: type[BaseSettings], file: Path) -> dict[str, Any]:
    """Return what *file* says, as it is written there."""
    try:
        return TomlConfigSettingsSource(settings, toml_file=file).toml_data
    except OSError as exc:
        raise ConfigurationError(
            f"{file} cannot be read: {exc.strerror}.",
            why="The recorder runs as a user without rights to it.",
            fix=f"Make it readable for that user only: `chown` it, then `chmod 600 {file}`.",
        ) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(
            f"{file} is not TOML: {exc}.", why="Text values stand in double quotes.", fix="Correct that line."
        ) from exc
    except UnicodeDecodeError:  # not chained: it carries the whole file
        raise ConfigurationError(
            f"{file} is not UTF-8 text.", why="TOML is always UTF-8.", fix="Save the file as UTF-8."
        ) from None


def resolve(value: Any, reader: SecretReader, key: str = "") -> Any:
    """Return *value* with the secrets in it read, at any depth, and its folder made absolute."""
    match value:
        case dict():
            return {name: resolve(inner, reader, name) for name, inner in value.items()}
        case list():
            return [resolve(inner, reader) for inner in value]
        case str() if key in _SECRET_KEYS:
            return reader.read(value)
        case str() if key == _FOLDER_KEY and value:
            return reader.absolute(value)
        case _:
            return value


def variable_of(section: str, key: str) -> str:
    """Return the environment variable that overrides a setting."""
    return f"{PREFIX}{section}__{key}".upper()


def read_environment(
    environ: Mapping[str, str], known: Mapping[str, tuple[str, str]], *, reader: SecretReader
) -> tuple[dict[str, Section], list[InvalidSetting]]:
    """Return what the variables say by section, and those that look like settings and are none.

    *known* maps a variable to its section and key.
    """
    values: dict[str, Section] = {}
    problems = []
    for variable, text in environ.items():
        if variable in known:
            section, key = known[variable]
            value = reader.read(text, variable=variable) if key in _SECRET_KEYS else resolve(text, reader, key)
            values.setdefault(section, {})[key] = value
        elif variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            # Others use the prefix too: Kubernetes sets RECORDER_PORT for a service named so. Two underscores are ours.
            close = get_close_matches(variable, known, n=1, cutoff=0.7 if "__" in variable else 0.95)
            if close or "__" in variable:
                problems.append(
                    InvalidSetting(
                        f"The environment variable {variable} is no setting",
                        why="A misspelt setting would leave the default in force without a word.",
                        fix=f"Did you mean {close[0]}?" if close else f"Unset it; settings are {', '.join(known)}.",
                    )
                )
    return values, problems


def account_from_environment(environ: Mapping[str, str], reader: SecretReader) -> Section | None:
    """Return the account ``main`` that the exchange's usual variables make, ``None`` when none of them is set."""
    written = {
        "api_key": "env:BINANCE_API_KEY",
        "api_secret": "env:BINANCE_API_SECRET",
        "private_key": f"file:{environ.get('BINANCE_PRIVATE_KEY_FILE', '')}",
    }
    has_secret = bool(environ.get("BINANCE_API_SECRET"))
    has_private_key = bool(environ.get("BINANCE_PRIVATE_KEY_FILE"))
    if not (environ.get("BINANCE_API_KEY") or has_secret or has_private_key):
        return None
    if not has_private_key:
        del written["private_key"]
    elif not has_secret:
        del written["api_secret"]
    return {"name": "main"} | {key: reader.read(text) for key, text in written.items()}


def _user_folder(environ: Mapping[str, str]) -> Path:
    return _xdg(environ, "XDG_CONFIG_HOME", ".config")


def default_data_dir(environ: Mapping[str, str], *, root: bool) -> Path:
    """Return where data goes when no setting says so."""
    if root:
        return Path("/var/lib/position-recorder")
    return _xdg(environ, "XDG_DATA_HOME", ".local/share") / "position-recorder"


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    folder = Path(environ.get(variable, ""))
    return folder if folder.is_absolute() else home_of(environ) / default  # the XDG rules ignore relative folders
