"""A setting that is wrong, and how all of them are told to the user at once."""

from collections.abc import Sequence

from recorder.exceptions import ConfigurationError


class InvalidSetting(ValueError):
    """One wrong setting. Validators raise it, and pydantic goes on to collect the rest.

    Attributes:
        what: In a validator the rest of a sentence that begins with the setting's name ("is '60', which …").
            Never holds the value of a secret.
        why: Why it is refused, when that is not plain from ``what``.
        fix: What to write instead.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix


def configuration_error(problems: Sequence[InvalidSetting]) -> ConfigurationError:
    """Return one error that names every problem."""
    if len(problems) == 1:
        return ConfigurationError(f"{problems[0].what}.", why=problems[0].why, fix=problems[0].fix)
    lines = "".join(f"\n  {problem.what}. {problem.fix}".rstrip() for problem in problems)
    return ConfigurationError(
        f"{len(problems)} settings are wrong:{lines}",
        why="Nothing was started: a recorder with other settings than the intended ones records the wrong thing.",
        fix="Correct all of them, then run `recorder check`.",
    )
