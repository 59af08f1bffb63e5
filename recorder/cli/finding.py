"""A finding: one line of `recorder check`."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from recorder.exceptions import RecorderError


class Grade(StrEnum):
    """How bad it is: a warning does not keep anything from being recorded."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a subject; *why* and *fix* are empty where all is well."""

    subject: str
    grade: Grade
    what: str
    why: str = ""
    fix: str = ""

    @classmethod
    def of(cls, subject: str, error: RecorderError) -> Self:
        return cls(subject, Grade.FAIL, error.what, error.why, error.fix)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
