from __future__ import annotations

from tests.system.load import LoadReport, read_statistics

HEAD = "TotalCallCreated;SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n"
TIMES = "Date_ms;response_time_ms;rtd_no\n"


def test_the_last_line_of_the_statistics_counts() -> None:
    text = HEAD + "1;0;0;0;\n20;17;3;2;\n"
    assert read_statistics(text) == LoadReport(calls=20, succeeded=17, failed=3, retransmissions=2)


def test_the_response_times_of_all_files_are_taken_together() -> None:
    times = [TIMES + "1;12.5;answer\n2;40;answer\n", TIMES + "3;1500;answer\n"]
    assert read_statistics(HEAD + "3;3;0;0;\n", times).answers_s == (0.0125, 0.04, 1.5)
