from __future__ import annotations

from datetime import date

import pytest

from catalog.catalogue_file import COLUMNS, BadCatalogue, decode_catalogue, read_catalogue

HEADER = ",".join(COLUMNS) + "\n"
GOOD = "1029,茉莉花,古筝,示例,民歌,200,150,100,2027-12-31,a.wav\n"


def test_a_good_file_gives_its_rows() -> None:
    (row,) = read_catalogue("\ufeff" + HEADER + GOOD + "\n", "c.csv")
    assert (row.code, row.title, row.prices.member) == ("1029", "茉莉花", 150)
    assert row.licence_until == date(2027, 12, 31)


def test_a_code_in_full_width_is_that_code() -> None:
    twice = GOOD + GOOD.replace("1029", "１０２９")
    with pytest.raises(BadCatalogue, match="code: 1029: stands in line 2 too"):
        read_catalogue(HEADER + twice, "c.csv")
    (row,) = read_catalogue(HEADER + GOOD.replace("1029", "１０２９"), "c.csv")
    assert row.code == "1029"


def test_every_error_of_a_file_is_named_at_once_with_line_and_column() -> None:
    bad = (
        "0129,茉莉花,古筝,示例,民歌,200,150,100,,a.wav\n"
        f"1007,{'长' * 21},古筝,示例,民歌,2元,150,100,,a.wav\n"
        "1010,紫竹调,古筝,示例,民歌,200,150,100,31.12.2027,a.wav\n"
        "1032,无锡景\n" + GOOD + GOOD
    )
    with pytest.raises(BadCatalogue) as refused:
        read_catalogue(HEADER + bad, "c.csv")
    assert refused.value.errors == (
        "c.csv:2:code: 0129: 3 to 8 digits, the first not 0",
        f"c.csv:3:title: {'长' * 21}: longer than 20 characters",
        "c.csv:3:price_fen: 2元: whole fen from 0 to 100000",
        "c.csv:4:licence_until: 31.12.2027: a date such as 2027-12-31, or empty",
        "c.csv:5: 2 columns instead of 10",
        "c.csv:7:code: 1029: stands in line 6 too",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("code,title\n", "the header is not"),
        (HEADER, "there is no tone"),
        (HEADER + "1029,,古筝,示例,民歌,200,150,100,,\n", "title: must not be empty"),
        (HEADER + GOOD.replace(",200,", f",{'9' * 5000},"), "price_fen: 9{20}: whole fen from 0"),
        (HEADER + GOOD.replace("a.wav", "a\0.wav"), "audio: 'a.x00.wav': no file has such a name"),
        (HEADER + "1029,a\tb,古筝,示例,民歌,200,150,100,,\n", "cannot be shown"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadCatalogue, match=reason):
        read_catalogue(text, "c.csv")


def test_a_file_from_excel_in_china_is_read() -> None:
    text = HEADER + GOOD
    for encoding in ("utf-8", "utf-8-sig", "gbk", "gb18030"):
        assert decode_catalogue(text.encode(encoding), "c.csv") == text
    rare = text.replace("茉莉花", "茉莉花𠮷")
    assert decode_catalogue(rare.encode("gb18030"), "c.csv") == rare


def test_what_is_no_text_is_refused_where_it_ceases_to_be() -> None:
    with pytest.raises(BadCatalogue, match=r"^c\.csv:2:3: ff: neither UTF-8 nor GBK text"):
        decode_catalogue(b"code\n10\xff\xff29", "c.csv")


def test_a_line_may_leave_the_code_to_us() -> None:
    rows = read_catalogue(HEADER + GOOD.replace("1029", "") * 2, "c.csv")
    assert [row.code for row in rows] == ["", ""]


def test_an_open_quotation_mark_is_told_with_its_line() -> None:
    with pytest.raises(BadCatalogue, match=r"^c\.csv:3: "):
        read_catalogue(HEADER + GOOD + '1032,"茉莉"花,古筝,示例,民歌,200,150,100,,a.wav\n', "c.csv")


def test_a_field_of_two_lines_does_not_shift_the_lines_that_follow() -> None:
    two_lines = '1007,"茉莉\n花",古筝,示例,民歌,200,150,100,,a.wav\n'
    with pytest.raises(BadCatalogue) as refused:
        read_catalogue(HEADER + two_lines + "0,a,b,c,d,1,1,1,,\n", "c.csv")
    assert [error.split(": ")[0] for error in refused.value.errors] == [
        "c.csv:2:title",
        "c.csv:4:code",
    ]
