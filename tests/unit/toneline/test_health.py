from __future__ import annotations

from functools import partial

from prometheus_client import generate_latest

from toneline.health import Figures, health


def test_the_line_is_well_while_every_service_is() -> None:
    well, document = health({"voice": lambda: (True, "3 calls"), "store": lambda: (True, "")})
    assert well
    assert document == {
        "status": "ok",
        "services": {
            "voice": {"status": "ok", "detail": "3 calls"},
            "store": {"status": "ok", "detail": ""},
        },
    }


def test_one_failing_service_makes_the_line_fail_and_is_named() -> None:
    well, document = health({"voice": lambda: (True, ""), "store": lambda: (False, "no process")})
    assert not well
    assert document["status"] == "failing"
    assert document["services"]["store"] == {"status": "failing", "detail": "no process"}  # type: ignore[index]  # JSON


def test_figures_are_read_when_they_are_asked_for() -> None:
    figures = Figures()
    calls = [1]
    figures.gauge("toneline_calls_live", "Calls now on the line", lambda: calls[0])
    figures.counter("toneline_calls", "Calls taken", lambda: 7)
    figures.histogram("toneline_waits_seconds", "Waits", (0.5, 1), lambda: ([2, calls[0], 0], 0.7))
    calls[0] = 5
    text = generate_latest(figures.registry).decode()
    assert "\ntoneline_calls_live 5.0\n" in text
    assert "\ntoneline_calls_total 7.0\n" in text
    assert 'toneline_waits_seconds_bucket{le="0.5"} 2.0' in text
    assert 'toneline_waits_seconds_bucket{le="1"} 7.0' in text
    assert "toneline_waits_seconds_count 7.0" in text


def test_a_figure_may_have_a_value_for_each_smsc() -> None:
    figures = Figures()
    for name, count in (("gw1", 3), ("gw2", 4)):
        figures.counter("toneline_mo", "Messages", partial(float, count), {"smsc": name})
    figures.gauge("toneline_smsc_bound", "Binds", lambda: 1, {"smsc": "gw1"})
    text = generate_latest(figures.registry).decode()
    assert text.count("# TYPE toneline_mo_total counter") == 1
    assert '\ntoneline_mo_total{smsc="gw1"} 3.0\n' in text
    assert '\ntoneline_mo_total{smsc="gw2"} 4.0\n' in text
    assert '\ntoneline_smsc_bound{smsc="gw1"} 1.0\n' in text
