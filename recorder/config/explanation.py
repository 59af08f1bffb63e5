"""What pydantic found wrong, told in the user's words: which file or variable, which setting, what to write."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recorder.config.problem import InvalidSetting
from recorder.config.sources import Section, variable_of

Location = tuple[int | str, ...]
_CONSEQUENCE = "default_factory_not_called"  # of another error in the same section, which is told itself


def explain(
    error: ValidationError,
    *,
    known: Mapping[str, Collection[str]],
    file: Path | None,
    from_file: Mapping[str, Any],
    from_environment: Mapping[str, Section],
) -> Iterator[InvalidSetting]:
    """Yield each problem in *error*. *known* holds the keys by section; the values are what was validated."""
    for details in error.errors(include_url=False, include_input=False):
        location, kind = details["loc"], details["type"]
        if kind == _CONSEQUENCE:
            continue
        place = _place(location, file, from_file, from_environment)
        refused = details.get("ctx", {}).get("error")
        if isinstance(refused, InvalidSetting):
            yield InvalidSetting(f"{place} {refused.what}".strip(), why=refused.why, fix=refused.fix)
        elif kind == "extra_forbidden":
            yield InvalidSetting(
                f"{place} is no setting",
                why="A misspelt setting would leave the default in force without a word.",
                fix=_suggestion(location, known),
            )
        elif kind == "missing":
            yield InvalidSetting(f"{place} is missing", why="It has no default.", fix=f"Add a line {location[-1]} = …")
        else:
            reason = details["msg"].removeprefix("Input ")
            yield InvalidSetting(f"{place} {reason}", fix="Correct it, or leave it out for the default.")


def _place(
    location: Location,
    file: Path | None,
    from_file: Mapping[str, Any],
    from_environment: Mapping[str, Section],
) -> str:
    match location:
        case ():
            return ""
        case (str(section), str(key), *_) if key in from_environment.get(section, {}):
            return f"The environment variable {variable_of(section, key)}"
        case (str(section), int(index), *keys):
            setting = ".".join([section, *map(str, keys)]) + f" of {_account(from_file, index)}"
        case _:
            setting = ".".join(map(str, location))
    return setting if file is None else f"{file}: {setting}"


def _account(from_file: Mapping[str, Any], index: int) -> str:
    match from_file.get("accounts"):
        case list() as accounts if isinstance(accounts[index], dict) and isinstance(accounts[index].get("name"), str):
            return f"account {accounts[index]['name']!r}"
        case _:
            return f"account number {index + 1}"


def _suggestion(location: Location, known: Mapping[str, Collection[str]]) -> str:
    *parents, key = (str(part) for part in location if isinstance(part, str))
    siblings = known[parents[0]] if parents else known
    prefix = f"{parents[0]}." if parents else ""
    if close := get_close_matches(key, siblings, n=1):
        return f"Did you mean {prefix}{close[0]}?"
    if elsewhere := [f"{section}.{key}" for section, keys in known.items() if key in keys]:
        return f"It belongs into the section [{elsewhere[0].partition('.')[0]}]."
    return f"Remove it; {f'[{parents[0]}] has' if parents else 'the sections are'} {', '.join(siblings)}."
