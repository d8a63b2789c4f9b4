from __future__ import annotations

from tests.system.load import LoadReport, read_statistics

HEAD = (
    "TotalCallCreated;SuccessfulCall(C);FailedCall(C);Retransmissions(C);ResponseTimeanswer(C);\n"
)


def test_the_last_line_of_the_statistics_counts() -> None:
    text = HEAD + "1;0;0;0;00:00:00:000000;\n20;17;3;2;00:01:02:012500;\n"
    assert read_statistics(text) == LoadReport(
        calls=20, succeeded=17, failed=3, retransmissions=2, answer_mean_ms=62012.5
    )
