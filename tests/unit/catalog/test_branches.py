from __future__ import annotations

import pytest

from catalog.branches import BadBranches, read_branches

TABLE = "prefix,branch\n139,nanjing\n1390525,yangzhou\n13905250009,suzhou\n0514,yangzhou\n"


def test_the_longest_prefix_gives_the_branch() -> None:
    table = read_branches(TABLE, "b.csv")
    assert table.branch_of("8613905250001") == "yangzhou"
    assert table.branch_of("8613905260001") == "nanjing"
    assert table.branch_of("8618905250001") is None
    assert table.branch_of(None) is None


def test_a_whole_number_is_a_staff_override() -> None:
    assert read_branches(TABLE, "b.csv").branch_of("8613905250009") == "suzhou"


def test_the_area_code_dialled_comes_first() -> None:
    table = read_branches(TABLE, "b.csv")
    assert table.branch_of("8613905260001", "0514") == "yangzhou"
    assert table.branch_of("8613905260001", "0999") == "nanjing"


def test_every_error_of_the_table_is_named() -> None:
    with pytest.raises(BadBranches) as refused:
        read_branches("prefix,branch\n139\n13x,nanjing\n\n138,mars\n", "b.csv")
    assert refused.value.errors == [
        "b.csv:2: two columns are needed, prefix and branch",
        "b.csv:3: '13x' is not a prefix (1 to 11 digits)",
        "b.csv:5: there is no branch 'mars'",
    ]
    with pytest.raises(BadBranches, match="the header is not"):
        read_branches("", "b.csv")
