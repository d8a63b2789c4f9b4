"""settings -> the services of one process, wired in the order in which they start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.web.server import Site

from catalog.current import CurrentCatalogue
from config.kinds import parse_hours
from config.settings import Settings, service_senders, zone
from ivr.ami import AmiAccess, Session
from ivr.ami_connection import AmiConnection
from ivr.ami_link import AmiLink
from ivr.originate import CallbackService
from ordering.callbacks import OUTCOMES
from ordering.contact import ContactPolicy
from ordering.orders import Limits
from ordering.provisioning import LocalOperator
from scheduler.appointments import Appointments
from scheduler.directory_watch import DirectoryWatch, inotify
from scheduler.service import SchedulerService
from scheduler.timetable import Duty, appointments, timetable
from smpp.esme import EsmeService
from smpp.mo import MoService
from smpp.mo_upkeep import MoUpkeep
from smpp.mt import MtService
from smpp.pool import SmscPool, member_of
from smpp.simulator import SimulatorService
from smpp.smsc_rules import Script
from smpp.turn import Rules
from store.client import StoreClient
from store.kept import KeptRequests
from store.service import StoreService
from toneline import voice, voice_figures
from toneline.app import END_S, App, Part, Voice
from toneline.health import Console, Figures
from toneline.prepare import Prepared
from toneline.smscs import endpoint_of, on_lost, resent, show, smscs_of
from toneline.sources import new_id, now
from toneline.workers.service import WorkersService
from toneline.workers.talk import Begin

log = structlog.get_logger()

BOUND_POLL_S = 0.02
AGI_BACKLOG = 1024
"""Calls that may come in one instant and wait to be taken."""
SERVICES = ("voice", "sms", "scheduler", "console")
STORE_MODULES = (
    "catalog.editions",
    "catalog.publishing",
    "catalog.rotation",
    "catalog.snapshot",
    "catalog.tones",
    "ordering.callbacks",
    "ordering.contact",
    "ordering.claims",
    "ordering.fulfilment",
    "ordering.late",
    "ordering.orders",
    "ordering.outbox",
    "ordering.outcomes",
    "ordering.provisioning",
    "ordering.receipts",
    "ordering.records",
    "scheduler.daily",
    "scheduler.jobs",
    "scheduler.runs",
    "smpp.answers",
    "smpp.parts",
)
"""Whose functions the store process may run; it imports them before it is asked for any."""
REST_S = 0.02
"""Between two steps of a nightly job: a step takes the store some milliseconds."""
ALARMS = {
    "chart_burst": "Alarms: a song got more votes in an hour than are believed",
    "editions_switched": "Midnights at which some list changed",
    "holiday_not_prepared": "Alarms: a holiday nears, and some owner has no edition for it",
    "licences_end": "Alarms: licences of tones end in 30, 7 or 1 days",
}


def build(prepared: Prepared, chosen: Sequence[str], reactor: Any, workers: int = 0) -> App:
    """Wire the chosen services; nothing is started. Without `workers` voice is in this process."""
    settings = prepared.settings
    store = StoreService(reactor, prepared.folders.database_url, STORE_MODULES)
    database = StoreClient(reactor, store.socket_path, STORE_MODULES)
    kept = voice.kept_requests(database, STORE_MODULES, prepared.folders, reactor)
    catalogue = CurrentCatalogue(database, prepared.snapshot, reactor, now)
    operator = voice.operator_of(settings, database, reactor)
    figures = Figures()
    figures.gauge(
        "toneline_kept_bytes", "On this host's disk, for the store to do", lambda: kept.waiting
    )
    figures.gauge(
        "toneline_kept_failed", "Files of requests that were refused", lambda: kept.failed
    )
    base = _Base(prepared, reactor, database, kept, catalogue, operator, figures)
    parts = [
        Part("store", store, lambda: _store_word(store), store.ready),
        Part("kept", kept, kept.health),  # ends after the database, whose last answers it takes
        Part("database", database, lambda: _database_word(database)),
        Part("catalogue", catalogue, catalogue.health),
    ]
    taker: Voice | None = None
    callbacks = None
    if "sms" in chosen:
        parts += _sms(base)
    if "scheduler" in chosen:
        parts.append(_scheduler(base))
        if settings.paths.publish:
            parts.append(_directories(base))
    if "voice" in chosen:
        part, taker = _workers(base, store, workers) if workers else _voice(base)
        parts.append(part)
        if settings.ami.enabled:
            callbacks = _callbacks(base)
            # Asterisk's manager may be away without keeping callers from the line.
            parts.append(Part("callbacks", callbacks, callbacks.health))
    if "console" in chosen:
        parts.append(_console(base, parts))
    return App(tuple(parts), taker, settings.agi.drain_s, reactor, callbacks)


@dataclass(frozen=True, slots=True)
class _Base:
    """What the services share."""

    prepared: Prepared
    reactor: Any
    database: StoreClient
    kept: KeptRequests
    catalogue: CurrentCatalogue
    operator: LocalOperator
    figures: Figures

    @property
    def settings(self) -> Settings:
        return self.prepared.settings


def _voice(base: _Base) -> tuple[Part, Voice]:
    service = voice.voice_service(
        _plan(base.prepared),
        _agi_endpoint(base),
        base.database,
        base.kept,
        base.catalogue,
        base.operator,
        base.reactor,
    )
    voice_figures.show(base.figures, (service.counts,))
    return Part("voice", service, service.health, service.bound), service


def _agi_endpoint(base: _Base) -> Any:
    listen = base.settings.agi.listen
    # Twisted's are 50: whoever finds the queue full is let in a second later at the soonest.
    backlog = "" if "backlog=" in listen else f":backlog={AGI_BACKLOG}"
    return serverFromString(base.reactor, f"{listen}{backlog}")


def _workers(base: _Base, store: StoreService, count: int) -> tuple[Part, Voice]:
    plan = _plan(base.prepared)
    service = WorkersService(
        base.reactor,
        _agi_endpoint(base),
        lambda number, family: Begin(number, count, plan, store.socket_path, STORE_MODULES, family),
        count,
        structlog.PrintLogger(sys.stderr).msg,
    )
    voice_figures.show(base.figures, service.board.counts)
    return Part("voice", service, service.health, service.ready, end_s=2 * END_S), service


def _plan(prepared: Prepared) -> voice.VoicePlan:
    return voice.VoicePlan(
        prepared.settings,
        prepared.folders,
        prepared.prompts,
        prepared.texts,
        prepared.branches,
        prepared.staff,
    )


def _callbacks(base: _Base) -> CallbackService:
    ami = base.settings.ami
    access = AmiAccess(ami.host, ami.port, ami.username, ami.secret)
    link = AmiLink(
        lambda on_event, on_lost: AmiConnection(
            base.reactor, partial(Session, access), on_event, on_lost
        ),
        base.reactor,
        f"{ami.host}:{ami.port}",
    )
    service = CallbackService(
        base.database,
        link,
        ami,
        base.reactor,
        line=base.settings.line.access_numbers[0],
        host=base.prepared.presence.host,
        clock=now,
        new_id=new_id,
    )
    figures = base.figures
    figures.gauge(
        "toneline_callbacks_ringing", "Telephones being rung", lambda: service.calls_ringing
    )
    for outcome in OUTCOMES:
        figures.counter(
            f"toneline_callbacks_{outcome}",
            f"Calls placed that ended so: {outcome}",
            partial(service.outcomes.__getitem__, outcome),
        )
    figures.counter(
        "toneline_callbacks_dropped",
        "Not placed in time, or left by a host that died",
        lambda: service.dropped,
    )
    return service


def _sms(base: _Base) -> list[Part]:
    settings = base.settings
    smscs = smscs_of(settings)
    parts = []
    if not settings.smsc:
        simulator = _simulator(settings, base.prepared.script, base.reactor)
        parts.append(Part("simulator", simulator, simulator.health, simulator.bound))
    mt = MtService(
        base.database,
        _contact_policy(settings),
        base.prepared.presence.host,
        base.reactor,
        now,
        new_id,
        {one.name: on_lost(one) for one in smscs},
        settings.agi.drain_s,
    )
    mo = MoService(
        base.database,
        base.operator,
        base.catalogue,
        base.prepared.texts,
        _rules(settings),
        settings.sms.short_codes,
        now,
        new_id,
        mt,
    )
    esmes = [
        EsmeService(
            endpoint_of(smsc, base.reactor),
            smsc,
            base.reactor,
            mo.receive,
            mt.receipt,
            mt.room,
            mt.late,
            clock=now,
        )
        for smsc in smscs
    ]
    senders = [one for one in zip(esmes, smscs, strict=True) if one[1].bind != "receiver"]
    members = [member_of(esme, smsc) for esme, smsc in senders]
    mt.send_through(SmscPool(members))
    for esme in esmes:
        show(base.figures, esme)
        # A real SMSC may be away for hours without keeping callers from the line; ours is not.
        works = None if settings.smsc else partial(_bound, esme, base.reactor)
        name = "smsc" if len(esmes) == 1 else f"smsc {esme.name_of_smsc}"
        parts.append(Part(name, esme, esme.health, works))
    upkeep = MoUpkeep(mo, base.reactor)
    parts.append(Part("mo", upkeep, upkeep.health))
    # It waits for SMSCs by itself, and gives up by itself.
    parts.append(Part("outbox", mt, mt.health, end_s=settings.agi.drain_s + END_S))
    return parts


async def _bound(esme: EsmeService, reactor: Any) -> None:
    while not esme.health()[0]:
        await deferLater(reactor, BOUND_POLL_S, lambda: None)


def _rules(settings: Settings) -> Rules:
    return Rules(
        limits=Limits(
            orders_per_day=settings.policy.orders_per_day,
            spend_per_day_fen=settings.policy.spend_per_day_fen,
            undo_min=settings.policy.undo_min,
            timezone=settings.line.timezone,
        ),
        confirm_ttl_min=settings.policy.confirm_ttl_min,
        line=settings.line.access_numbers[0],
        sender=settings.sms.sender_answer,
        calls_back=settings.ami.enabled,
    )


def _contact_policy(settings: Settings) -> ContactPolicy:
    sms, policy = settings.sms, settings.policy
    services = service_senders(settings)
    if sms.sender("offer") in services:
        log.warning("offers_are_refused", reason="shared_sender")  # doctor says what to do
    return ContactPolicy(
        hangup_hours=parse_hours(policy.hangup_sms_hours),
        offer_hours=parse_hours(policy.offer_hours),
        same_days=policy.hangup_sms_same_days,
        max_call_min=settings.agi.max_call_min,
        timezone=settings.line.timezone,
        offers_per_day=policy.offers_per_day,
        offers_per_month=policy.offers_per_month,
        service_senders=services,
        dry_run=sms.dry_run,
    )


def _timetable(settings: Settings) -> tuple[Duty, ...]:
    smscs = smscs_of(settings)
    return timetable(
        resent=resent(smscs),
        offers_waiting=settings.sms.offers_waiting,
        receipt_timeouts={smsc.name: timedelta(hours=smsc.receipt_timeout_h) for smsc in smscs},
    )


def _simulator(settings: Settings, script: Script, reactor: Any) -> SimulatorService:
    simulator = settings.simulator
    return SimulatorService(
        serverFromString(reactor, simulator.listen),
        serverFromString(reactor, simulator.http),
        reactor,
        system_id=simulator.system_id,
        password=simulator.password,
        clock=now,
        script=script,
    )


def _scheduler(base: _Base) -> Part:
    settings = base.settings
    calendar = Appointments(
        base.database,
        appointments(
            timezone=settings.line.timezone, retention_days=settings.policy.retention_days
        ),
        zone(settings),
        base.prepared.presence.host,
        now,
        lambda: deferLater(base.reactor, REST_S, lambda: None),
    )
    for event, what in ALARMS.items():
        base.figures.counter(f"toneline_{event}", what, partial(calendar.said.__getitem__, event))
    scheduler = SchedulerService(
        base.database,
        base.operator,
        base.reactor,
        now,
        timetable=_timetable(base.settings),
        appointments=calendar,
        host=base.prepared.presence.host,
        undo_min=base.settings.policy.undo_min,
    )
    return Part("scheduler", scheduler, scheduler.health)


def _directories(base: _Base) -> Part:
    settings, reactor = base.settings, base.reactor
    watch = DirectoryWatch(
        base.prepared.folders.directories,
        base.database,
        reactor,
        now,
        timezone=settings.line.timezone,
        texts=base.prepared.texts,
        sender=settings.sms.sender("order"),
        in_thread=partial(deferToThreadPool, reactor, reactor.getThreadPool()),
        notices=inotify(reactor),
    )
    base.figures.gauge(
        "toneline_directories_refused", "Branches' files with errors", lambda: watch.refused
    )
    return Part("directories", watch, watch.health)


class _Web(Service):
    """The console's port."""

    def __init__(self, endpoint: Any, site: Site) -> None:
        self._endpoint = endpoint
        self._site = site
        self._port: Any = None

    async def bound(self) -> None:
        """Bind the port."""
        self._port = await self._endpoint.listen(self._site)

    def stopService(self) -> Deferred[None] | None:
        """Close the port."""
        super().stopService()
        port, self._port = self._port, None
        stopped: Deferred[None] | None = None if port is None else port.stopListening()
        return stopped


def _console(base: _Base, parts: Sequence[Part]) -> Part:
    words = {part.name: part.health for part in parts}
    base.figures.gauge(
        "toneline_store_pending",
        "Requests the store has not answered",
        lambda: base.database.pending,
    )
    site = Site(Console(words, base.figures))
    site.noisy = False
    web = _Web(serverFromString(base.reactor, base.settings.console.listen), site)
    return Part("console", web, lambda: (bool(web.running), ""), web.bound)


def _store_word(store: StoreService) -> tuple[bool, str]:
    word, detail = store.health()
    return word == "ok", detail or word


def _database_word(database: StoreClient) -> tuple[bool, str]:
    return database.is_connected, f"{database.pending} requests under way"


def simulator_app(settings: Settings, script: Script, reactor: Any) -> App:
    """Return the SMSC simulator alone."""
    simulator = _simulator(settings, script, reactor)
    return App((Part("simulator", simulator, simulator.health, simulator.bound),), None, 0, reactor)
