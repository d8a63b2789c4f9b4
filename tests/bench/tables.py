"""The figures as Markdown tables, which a terminal shows as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

Figures = dict[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table whose columns are aligned."""
    cells = [[*head], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    padded = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def facts(document: Figures) -> str:
    """The machine and the versions, in a sentence."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    return (
        f"Measured on {machine['cores']} cores ({machine['processor']}, {machine['memory_gb']} GB, "
        f"Linux {machine['kernel']}); {versions}."
    )


def calls(paces: list[Figures]) -> str:
    """One row a pace and server."""
    head = (
        *("callers", "server", "calls/s", "turnaround p50 / p99, ms", "p99 / bare"),
        *("without the order's: p99, ms", "/ bare", "after the confirming key: p50 / p99, ms"),
        *("CPU, us a command", "failed", "calls / orders stored"),
    )
    rows = [_call_row(pace, server) for pace in paces for server in pace["servers"]]
    return table(head, rows)


def _call_row(pace: Figures, server: str) -> list[object]:
    runs = pace["servers"][server]
    whole, ours = _middle(runs, "turnaround_ms"), server.startswith("line")
    apart = _middle(runs, "turnaround_apart_ms")
    placed = sum(run["calls"] for run in runs)
    stored = (
        [sum(run["stored"][kind] for run in runs) for kind in ("calls", "orders")] if ours else []
    )
    cpu = runs[-1]["cpu_us_a_command"]
    return [
        _callers(pace["pace"]),
        server,
        _short(median(run["calls_per_s"] for run in runs)),
        f"{_short(whole['p50'])} / {_short(whole['p99'])}",
        against_bare(pace["servers"], server, "turnaround_ms") if ours else "",
        _short(_middle(runs, "turnaround_rest_ms")["p99"]) if ours else "",
        against_bare(pace["servers"], server, "turnaround_rest_ms") if ours else "",
        f"{_short(apart['p50'])} / {_short(apart['p99'])}" if apart else "",
        " + ".join(str(used) for used in cpu.values()),
        sum(run["failed"] for run in runs),
        f"{stored[0]} / {stored[1]} of {placed}" if ours else "",
    ]


def against_bare(servers: dict[str, list[Figures]], server: str, what: str) -> float:
    """How often the bare server's p99 a server's is: the median of all rounds."""
    bare = [run["turnaround_ms"]["p99"] for run in servers["bare Twisted"]]
    pairs = zip(servers[server], bare, strict=True)
    ratios: list[float] = [run[what]["p99"] / peer for run, peer in pairs]
    return round(median(ratios), 2)


def _callers(pace: Figures) -> str:
    pause = f", {pace['think_ms'] / 1000:g} s a command" if pace["think_ms"] else ", no pause"
    return f"{pace['at_once']} at once{pause}"


def _middle(runs: list[Figures], what: str) -> dict[str, float]:
    names = runs[0][what]
    return {name: median(run[what][name] for run in runs if run[what]) for name in names}


def asterisk(rates: list[Figures]) -> str:
    """One row a rate and server."""
    head = (
        *("calls/s", "server", "failed", "INVITE to answer p50 / p99, ms"),
        *("to the first sound p50 / max, ms", "key to the next prompt p50 / max, ms"),
        *("keys recorded / heard to act", "RTP: lost, gaps > 40 ms, longest, ms"),
        *("CPU % of a core: Asterisk, line, store, SIPp", "idle, % of a core", "previews stored"),
    )
    rows = [_rate_row(rate, server) for rate in rates for server in ("playback", "line")]
    return table(head, rows)


def _rate_row(rate: Figures, server: str) -> list[object]:
    run, ours = rate[server], server == "line"
    cpu, rtp = run["cpu_percent"], run["rtp"]
    return [
        rate["rate"],
        "line" if ours else "Playback alone",
        f"{run['failed']} of {run['calls']}",
        _pair(run["invite_to_answer_ms"], "p50", "p99"),
        _pair(run["invite_to_first_sound_ms"], "p50", "max"),
        _pair(run["key_to_prompt_ms"], "p50", "max"),
        _keys(run) if ours else "",
        f"{rtp['lost']}, {rtp['gaps_over_40_ms']}, {_short(rtp['gap_max_ms'])}" if rtp else "",
        ", ".join(str(cpu[name]) for name in ("asterisk", "line", "store", "sipp")),
        run["idle_percent"],
        f"{run['stored']['previews']} of {run['calls']}" if ours else "",
    ]


def _keys(run: Figures) -> str:
    return f"{run['keys_recorded']} / {run['keys_acted_on']} of {run['keys_sent']}"


def notice(figures: Figures) -> str:
    """One row a way to confirm."""
    rows = [
        [
            {"key_1": "key 1 in a call", "sms_Y": "`Y` by SMS"}[way],
            f"{figures[way]['notices']} of {figures[way]['confirmed']}",
            *(_short(figures[way]["wait_ms"][share]) for share in ("p50", "p95", "max")),
        ]
        for way in ("key_1", "sms_Y")
    ]
    return table(("confirmed by", "notices", "p50, ms", "p95, ms", "longest, ms"), rows)


def night(figures: Figures) -> str:
    """Three tables: the licensed rate, answers past a queue, after an outage."""
    return "\n\n".join(
        (
            _rate(figures["rate"], figures["disk_ms"]),
            table(
                (
                    *("MO", "parts of an answer", "SMSC's tps", "offers queued", "answered"),
                    *("wait p50, ms", "p99, ms", "longest, ms", "offers meanwhile"),
                    "most in a second / RTHROTTLED",
                ),
                [_answer_row(run) for run in figures["answers"]],
            ),
            _outage(figures["outage"]),
        )
    )


def _rate(run: Figures, disk_ms: Figures) -> str:
    head = (
        *("licensed PDUs/s", "used, %", "most in any sliding second", "RTHROTTLED"),
        *("still queued", "fdatasync alone p50 / p99, ms"),
    )
    row = (run["licensed_per_s"], run["share_percent"], run["peak_1s"], run["throttled"])
    return table(head, [(*row, run["waiting"], _pair(disk_ms, "p50", "p99"))])


def _answer_row(run: Figures) -> list[object]:
    return [
        f"`{run['text']}`, {run['mo_per_s']:g} a second",
        run["parts"],
        run["tps"] or "any",
        run["waiting_before"],
        f"{run['answered']} of {run['asked']}",
        *(_short(run["wait_ms"][share]) if run["wait_ms"] else "" for share in _WAITS),
        run["offers_meanwhile"],
        f"{run['peak_1s']} / {run['throttled']}",
    ]


_WAITS = ("p50", "p99", "max")


def _outage(run: Figures) -> str:
    head = (
        *("owed", "expired meanwhile", "sent: answers, notices, offers", "after a lesser class"),
        *("sent though expired", "twice", "dropped", "never decided", "until the last answer, s"),
    )
    sent = ", ".join(str(run["sent"][one]) for one in ("answer", "order", "offer"))
    row = (
        *(run["owed"], run["expired_before"], sent, run["sent_after_a_lesser_class"]),
        *(run["expired_sent"], run["twice"], run["dropped"], run["still_waiting"]),
    )
    return table(head, [(*row, run["answers_s"])])


def store(figures: Figures) -> str:
    """One row an engine and number of callers."""
    rows = [
        [where, way, run["orders_per_s"], _short(run["p50_ms"]), _short(run["p99_ms"])]
        for where, ways in figures.items()
        for way, run in ways.items()
    ]
    return table(("database", "through", "orders/s", "p50, ms", "p99, ms"), rows)


def _pair(times: dict[str, float], low: str, high: str) -> str:
    return f"{_short(times[low])} / {_short(times[high])}" if times else ""


def _short(number: float) -> str:
    """Three digits are all that a measurement of this kind tells."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"
