"""docs/mistakes.md is true: each mistake is made here, and the sentence shown is the document's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from catalog.branch_files import read
from catalog.drafts import Knowledge, check, same_owner_twice
from tests.fakes.catalogue import SHANGHAI, a_tone, some_tones

DOCUMENT = Path("docs/mistakes.md")
KNOWN = Knowledge(
    {tone.code: tone for tone in some_tones()}
    | {
        "2005": a_tone("2005", state="retired"),
        "2014": a_tone("2014", licence_until=date(2026, 10, 31)),
        "2023": a_tone("2023", licence_until=date(2027, 2, 10)),
    },
    SHANGHAI,
    datetime(2026, 11, 20, tzinfo=UTC),
)
RIGHT = """\
branch: yangzhou
contact: "13905250000"
editions:
  - from: 2026-11-23
    songs:
      - 1007
      - 1010
      - 1029
      - 1032
      - 1041
      - 1055
      - 1064
      - 1078
      - 1086
      - 1093
    reserve: [1108]
  - from: 2027-02-06
    to: 2027-02-13
    kind: holiday
    songs: [1119, 1120, auto]
"""
CSV = "branch,from,1,2\r\nyangzhou,2026-11-23,1029,1999\r\n"


def changed(was: str, becomes: str) -> Callable[[], list[str]]:
    assert was in RIGHT
    return lambda: told(RIGHT.replace(was, becomes, 1).encode())


def told(data: bytes, file: str = "yangzhou.yaml") -> list[str]:
    return list(check(read(data, file), KNOWN).errors)


def two_files() -> list[str]:
    files = [read(RIGHT.encode(), "yangzhou.yaml"), read(CSV.encode(), "yangzhou.csv")]
    mistake = same_owner_twice(files)["yangzhou.yaml"]
    return [f"yangzhou.yaml:{mistake.place}: {mistake.sentence}"]


MISTAKES: dict[str, Callable[[], list[str]]] = {
    "编码不存在": changed("1041", "1999"),
    "同一首歌写了两次": changed("1041", "1010"),
    "写了十一首": changed("      - 1093\n", "      - 1093\n      - 1119\n"),
    "歌已下架": changed("1041", "2005"),
    "歌的版权已到期": changed("1041", "2014"),
    "节日期间版权到期": changed("1119", "2023"),
    "两个编码之间没有换行": changed("- 1041\n      - 1055", "- 1041 1055"),
    "编码打错，多了字母": changed("1041", "1041a"),
    "文件里写的是别的分公司": changed("branch: yangzhou", "branch: wuxi"),
    "分公司名字写错": changed("branch: yangzhou", "branch: yangzho"),
    "日期用文字写": changed("2026-11-23", "下周一"),
    "没有这一天": changed("2026-11-23", "2026-11-31"),
    "结束早于开始": changed("to: 2027-02-13", "to: 2027-01-13"),
    "节日没有写结束": changed("    to: 2027-02-13\n", ""),
    "类别写错": changed("kind: holiday", "kind: spring"),
    "两期同时开始": changed("2027-02-06\n    to: 2027-02-13\n    kind: holiday", "2026-11-23"),
    "用了制表符": changed("    reserve", "\treserve"),
    "缩进不齐": changed("    reserve", "   reserve"),
    "冒号是全角的": changed("from: 2026", "from：2026"),
    "漏了冒号": changed("    songs:\n", "    songs\n"),
    "引号没有收尾": changed('13905250000"', "13905250000"),
    "方括号没有收尾": changed("[1108]", "[1108"),
    "电话少一位": changed("13905250000", "1390525000"),
    "栏目名写错": changed("reserve:", "reserved:"),
    "空文件": lambda: told(b""),
    "Word 文件改了名": lambda: told(b"PK\x03\x04\0\0\xff\xff"),
    "存成了别的结尾（记事本的 .txt）": lambda: told(RIGHT.encode(), "yangzhou.yaml.txt"),
    "引号里有不存在的字符": changed("1041", r'"\UFFFFFFFF"'),
    "一个分公司有两个文件": two_files,
    "表格里编码不存在": lambda: told(CSV.encode("gbk"), "yangzhou.csv"),
}
"""What a clerk did, and how to do it."""


def table() -> str:
    rows = [f"| {did} | `` {'<br>'.join(mistake())} `` |" for did, mistake in MISTAKES.items()]
    return "\n".join(["| 做了什么 | 显示的话 |", "|---|---|", *rows]) + "\n"


def test_the_right_file_is_right() -> None:
    assert told(RIGHT.encode()) == []
    assert told(RIGHT.encode("gb18030")) == []


@pytest.mark.parametrize("did", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_place(did: str) -> None:
    assert len(MISTAKES[did]()) == 1, MISTAKES[did]()


def test_the_table_of_mistakes_is_true() -> None:
    assert table() in DOCUMENT.read_text("utf-8"), f"put this into {DOCUMENT}:\n{table()}"
