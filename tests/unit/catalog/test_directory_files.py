from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.branch_files import READERS, directory_files, fault_of, named_for, read, read_path
from catalog.drafts import Knowledge, check
from catalog.written import LONGEST_FILE
from tests.fakes.catalogue import SHANGHAI

NOTHING_KNOWN = Knowledge({}, SHANGHAI, datetime(2026, 11, 20, tzinfo=UTC))


def errors(data: bytes, file: str = "y.yaml") -> tuple[str, ...]:
    return check(read(data, file), NOTHING_KNOWN).errors


@pytest.mark.parametrize(
    "word",
    [r"\UFFFFFFFF", r"\U00110000", r"\uD800", r"\0", r"1007\uDFFF"],
)
@pytest.mark.parametrize(
    "file",
    [
        'branch: wuxi\neditions:\n- from: 2026-01-05\n  songs: ["%s"]\n',
        'branch: "%s"\n',
        '"%s": 1\n',
    ],
)
def test_an_escape_that_is_no_character_is_an_error_of_its_file(file: str, word: str) -> None:
    told = errors((file % word).encode())
    assert told
    assert all(error.startswith("y.yaml:") and error.encode() for error in told)


@given(
    st.sampled_from(sorted(READERS)),
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8")),
)
def test_whatever_a_file_holds_only_its_own_errors_come_of_it(ending: str, data: bytes) -> None:
    assert errors(data, f"y{ending}")


def test_what_is_no_file_or_may_not_be_read_says_so(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "wuxi.yaml", tmp_path / "suzhou.yaml"
    folder.mkdir()
    os.mkfifo(pipe)
    for path in (folder, pipe):
        assert [one.sentence for one in read_path(path).mistakes] == [
            "cannot be read: this is no file"
        ]
    (gone,) = read_path(tmp_path / "gone.yaml").mistakes
    assert gone.sentence == "cannot be read: No such file or directory"


def test_no_more_of_a_long_file_is_read_than_tells_that_it_is(tmp_path: Path) -> None:
    long = tmp_path / "wuxi.yaml"
    with long.open("wb") as file:
        file.truncate(1 << 40)
    (mistake,) = read_path(long).mistakes
    assert mistake.sentence == f"the file is longer than {LONGEST_FILE} bytes"


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("yangzhou.yaml.txt", ".txt"),
        ("yangzhou.txt", ".txt"),
        ("Yangzhou.xls", ".xls"),
        ("yangzhou.ods", ".ods"),
        ("yangzhou", "nothing"),
        ("yangzhou 新.doc", ".doc"),
    ],
)
def test_a_branchs_file_with_an_ending_that_nobody_reads_is_refused_not_overlooked(
    tmp_path: Path, name: str, ending: str
) -> None:
    path = tmp_path / name
    path.write_text("branch: yangzhou\neditions:\n- from: 2026-01-05\n  songs: auto\n")
    assert directory_files(tmp_path) == [path]
    assert [one.sentence for one in read_path(path).mistakes] == [
        f"a name that ends in {ending} is not known; known are .yaml, .yml, .csv, .xlsx"
    ]
    assert named_for(path) == "yangzhou"


def test_a_folder_that_cannot_be_looked_into_has_a_fault(tmp_path: Path) -> None:
    assert fault_of(tmp_path) == ""
    assert "nowhere: No such file or directory" in fault_of(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    assert "file: Not a directory" in fault_of(tmp_path / "file")
