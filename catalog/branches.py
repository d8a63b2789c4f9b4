"""Number -> branch -> province."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

PROVINCE = "jiangsu"
BRANCHES = (
    "nanjing", "wuxi", "xuzhou", "changzhou", "suzhou", "nantong", "lianyungang",
    "huaian", "yancheng", "yangzhou", "zhenjiang", "taizhou", "suqian",
)  # fmt: skip


class BadBranches(Exception):
    """The prefix table cannot be used; `errors` names line and reason of each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class BranchTable:
    """Prefixes of mobile numbers and area codes, with the branch of each.

    `prefixes` maps the first digits of the 11-digit number (longest wins, a whole number is a staff
    override); `area_codes` maps an area code with its 0.
    """

    prefixes: Mapping[str, str]
    area_codes: Mapping[str, str]
    longest: int

    def branch_of(self, msisdn: str | None, area_code: str | None = None) -> str | None:
        """Return the branch: the area code dialled, else the number's longest prefix, else None."""
        if area_code and area_code in self.area_codes:
            return self.area_codes[area_code]
        if msisdn is None:
            return None
        number = msisdn.removeprefix("86")
        for length in range(min(self.longest, len(number)), 0, -1):
            branch = self.prefixes.get(number[:length])
            if branch is not None:
                return branch
        return None


def read_branches(text: str, name: str) -> BranchTable:
    """Return the table of a `prefix,branch` CSV.

    Raises:
        BadBranches: every error of the file, as `name:line: reason`.
    """
    errors: list[str] = []
    prefixes: dict[str, str] = {}
    area_codes: dict[str, str] = {}
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline="")))
    if not rows or [field.strip() for field in rows[0]] != ["prefix", "branch"]:
        raise BadBranches([f"{name}:1: the header is not prefix,branch"])
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        fields = [field.strip() for field in row]
        if len(fields) != 2:
            errors.append(f"{name}:{line}: two columns are needed, prefix and branch")
        elif not (fields[0].isascii() and fields[0].isdigit() and len(fields[0]) <= 11):
            errors.append(f"{name}:{line}: {fields[0]!r} is not a prefix (1 to 11 digits)")
        elif fields[1] not in BRANCHES:
            errors.append(f"{name}:{line}: there is no branch {fields[1]!r}")
        else:
            table = area_codes if fields[0].startswith("0") else prefixes
            table[fields[0]] = fields[1]
    if errors:
        raise BadBranches(errors)
    return BranchTable(prefixes, area_codes, max(map(len, prefixes), default=0))
