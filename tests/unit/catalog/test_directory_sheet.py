from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from catalog.directory_file import read_file
from catalog.directory_sheet import LONGEST_UNPACKED, read_csv, read_workbook
from catalog.drafts import Checked, Knowledge, check
from catalog.written import AUTO, LONGEST_FILE
from tests.fakes.catalogue import CODES, SHANGHAI, some_tones

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KNOWN = Knowledge({tone.code: tone for tone in some_tones()}, SHANGHAI, NOW)
HEADER = ["branch", "from", "to", "kind", *map(str, range(1, 11)), "reserve", "contact"]
ROWS: list[list[Any]] = [
    ["yangzhou", "2026-11-23", "", "", *CODES[:10], "1108 1119", "13905250000"],
    ["yangzhou", "2027-02-06", "2027-02-13", "holiday", *CODES[:3], *[""] * 9],
]


def csv_text(rows: list[list[Any]], header: list[str] = HEADER, between: str = ",") -> str:
    return "\r\n".join(between.join(map(str, row)) for row in [header, *rows]) + "\r\n"


def workbook(rows: list[list[Any]], header: list[Any] = HEADER) -> bytes:
    book = Workbook()
    sheet = book.active
    for row in [header, *rows]:
        sheet.append([None if value == "" else value for value in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def from_csv(data: str | bytes) -> Checked:
    return check(read_csv(data.encode() if isinstance(data, str) else data, "y.csv"), KNOWN)


def from_workbook(data: bytes) -> Checked:
    return check(read_workbook(data, "y.xlsx"), KNOWN)


def as_excel_has_it(rows: list[list[Any]]) -> list[list[Any]]:
    return [
        [int(value) if isinstance(value, str) and value.isdigit() else value for value in row]
        for row in rows
    ]


def test_a_sheet_gives_the_drafts_that_a_file_gives() -> None:
    told = f"""\
branch: yangzhou
contact: "13905250000"
editions:
  - from: 2026-11-23
    songs: [{", ".join(CODES[:10])}]
    reserve: [1108, 1119]
  - from: 2027-02-06
    to: 2027-02-13
    kind: holiday
    songs: [{", ".join(CODES[:3])}]
"""
    file = check(read_file(told.encode(), "y.yaml"), KNOWN)
    assert file.errors == ()
    assert file.drafts[1].slots == (*CODES[:3], *[AUTO] * 7)
    for sheet in (from_csv(csv_text(ROWS)), from_workbook(workbook(as_excel_has_it(ROWS)))):
        assert sheet.errors == ()
        assert (sheet.drafts, sheet.contact) == (file.drafts, file.contact)


@pytest.mark.parametrize(
    ("encoding", "between"),
    [("utf-8-sig", ","), ("gb18030", ","), ("gbk", ";"), ("utf-16", "\t")],
)
def test_a_csv_is_read_as_excel_writes_it(encoding: str, between: str) -> None:
    text = csv_text(ROWS, between=between).replace("1108 1119", "1108、1119")
    assert from_csv(text.encode(encoding)).drafts == from_csv(csv_text(ROWS)).drafts


def test_excels_own_dates_are_dates() -> None:
    rows = as_excel_has_it(ROWS)
    rows[0][1] = datetime(2026, 11, 23)  # noqa: DTZ001  a sheet knows no zone
    assert from_workbook(workbook(rows)).drafts == from_csv(csv_text(ROWS)).drafts
    assert from_csv(csv_text(ROWS).replace("2026-11-23", "2026/11/23")).errors == ()


def test_an_error_names_row_column_and_cell() -> None:
    wrong = [[*ROWS[0][:6], "1999", *ROWS[0][7:]], ROWS[1]]
    said = "2:7: cell G2: tone 1999 is not in the catalogue"
    assert from_csv(csv_text(wrong)).errors == (f"y.csv:{said}",)
    assert from_workbook(workbook(as_excel_has_it(wrong))).errors == (f"y.xlsx:{said}",)


def test_a_sheet_of_the_province_is_one() -> None:
    rows = [["jiangsu", *row[1:]] for row in ROWS]
    assert from_csv(csv_text(rows)).owner == "jiangsu"
    assert from_csv(csv_text(rows, ["province", *HEADER[1:]])).owner == "jiangsu"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "y.csv:1:1: the file is empty"),
        ("branch,from\r\n", "y.csv:2:1: there is no edition below the first row"),
        ("from,1\r\n2026-11-23,1029\r\n", "y.csv:1:1: cell A1: the first row is branch,from,to"),
        ("branch,from,song\r\nyangzhou,2026-11-23,1\r\n", "cell C1: the column 'song' is not"),
        ("branch,from,1,1\r\nyangzhou,2026-11-23,1\r\n", "cell D1: the column 1 stands here twice"),
        ("branch,from\r\nyangzhou,\r\n", "y.csv:2:1: cell A2: an edition has `from:`"),
        ("branch,from\r\n,2026-11-23\r\n", "cell A2: the row names no branch"),
        ("branch,from\r\nyangzhou,2026-11-23\r\nwuxi,2026-11-30\r\n", "cell A3: 'wuxi' stands in"),
        ("branch,from\r\nyangzhou,2026-11-23,1029\r\n", "cell C2: '1029' stands behind the last"),
        ("branch,from\r\nyangzhou,下周一\r\n", "cell B2: `from:` is a date such as"),
    ],
)
def test_a_sheet_of_another_shape_is_refused(text: str, said: str) -> None:
    assert any(said in error for error in from_csv(text).errors), from_csv(text).errors


def test_a_formula_is_refused_not_computed() -> None:
    rows = [[*ROWS[0][:4], "=1000+29", *ROWS[0][5:]]]
    said = "y.xlsx:2:5: cell E2: a formula stands here; write the value itself"
    assert from_workbook(workbook(rows)).errors == (said,)


def test_a_workbook_that_unpacks_to_too_much_is_not_opened() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", " " * (LONGEST_UNPACKED + 1))
    assert "too large" in from_workbook(file.getvalue()).errors[0]
    assert "longer than" in from_workbook(b"x" * (LONGEST_FILE + 1)).errors[0]
    assert "longer than" in from_csv(b"x" * (LONGEST_FILE + 1)).errors[0]


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [(3, 41, "AO3"), (3, 400, "OJ3"), (503, 1, "A503"), (90000, 2, "B90000")],
)
def test_what_stands_beyond_the_rows_and_columns_that_are_read_is_refused(
    row: int, column: int, cell: str
) -> None:
    book = load_workbook(io.BytesIO(workbook(ROWS)))
    book.active.cell(row, column).value = "1120"
    file = io.BytesIO()
    book.save(file)
    said = f"y.xlsx:{row}:{column}: cell {cell}: a directory's sheet has 502 rows and 40 columns"
    (error,) = from_workbook(file.getvalue()).errors
    assert error.startswith(said)


def test_a_new_line_in_a_cell_moves_the_lines_and_not_the_cells_behind_it() -> None:
    text = 'branch,from,1,2\r\nyangzhou,2026-11-23,"1029\n",1032\r\nyangzhou,2026-11-30,1999,\r\n'
    (error,) = from_csv(text).errors
    assert error == "y.csv:4:3: cell C3: tone 1999 is not in the catalogue"


def test_a_workbook_with_entities_is_not_opened() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr("xl/workbook.xml", '<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>')
    assert "declarations" in from_workbook(file.getvalue()).errors[0]


@settings(deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=30))
def test_a_damaged_workbook_raises_nothing(at: int, put: bytes) -> None:
    data = GOOD_BOOK[: at * 15] + put + GOOD_BOOK[at * 15 + len(put) :]
    sheet = from_workbook(data)
    assert sheet.errors or sheet.drafts


GOOD_BOOK = workbook(ROWS)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything(data: bytes) -> None:
    assert from_csv(data).errors
    assert from_workbook(data).errors
