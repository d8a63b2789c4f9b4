"""The voice service and what it stands on: wired alike in the line's own process and in workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from twisted.internet.threads import deferToThreadPool

from catalog.branches import BranchTable
from catalog.current import CurrentCatalogue
from config.settings import Settings, zone
from ivr.counts import VoiceCounts
from ivr.fingerprints import Fingerprints
from ivr.line import Line, refuse_call, take_call
from ivr.prompts import PromptBook
from ivr.service import Endpoint, VoiceService
from ivr.sound_lengths import SoundLengths
from ordering.provisioning import LocalOperator
from ordering.texts import Texts
from store.client import StoreClient
from store.kept import KeptRequests
from toneline.folders import Folders
from toneline.sources import new_id, now

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class VoicePlan:
    """What a voice process is told of the line; plain values, which travel to a worker as they are.

    They are the parent's and not read again: a worker that is started late sounds as the others do.
    """

    settings: Settings
    folders: Folders
    prompts: PromptBook
    texts: Texts
    branches: BranchTable
    staff: frozenset[str]


def operator_of(settings: Settings, database: StoreClient, reactor: Any) -> LocalOperator:
    """Return the operator's side."""
    return LocalOperator(
        database,
        now,
        reactor,
        timezone=zone(settings),
        stop_selling_days=settings.policy.stop_selling_days,
        timeout_s=settings.provisioning.timeout_s,
    )


def kept_requests(
    database: StoreClient, store_modules: Sequence[str], folders: Folders, reactor: Any
) -> KeptRequests:
    """Return what keeps this process' requests while the store cannot take them."""
    in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    return KeptRequests(database, store_modules, folders.kept, reactor, now, in_thread)


def voice_service(
    plan: VoicePlan,
    endpoint: Endpoint,
    database: StoreClient,
    kept: KeptRequests,
    catalogue: CurrentCatalogue,
    operator: LocalOperator,
    reactor: Any,
    *,
    counts: VoiceCounts | None = None,
    calls_elsewhere: Callable[[], int] = lambda: 0,
) -> VoiceService:
    """Wire the listener with the line that its calls reach; nothing is started."""
    settings, folders = plan.settings, plan.folders
    line = Line(
        settings=settings.line,
        policy=settings.policy,
        sms=settings.sms,
        prompts=plan.prompts,
        sounds=folders.asterisk_sounds,
        snapshot=catalogue,
        operator=operator,
        database=database,
        kept=kept,
        texts=plan.texts,
        clock=now,
        new_id=new_id,
        reactor=reactor,
        fingerprint=Fingerprints(folders.sounds, reactor.seconds).of,
        length_ms=SoundLengths(folders.sounds).of,
        log=log,
        staff=plan.staff,
    )
    return VoiceService(
        endpoint,
        lambda channel: take_call(line, channel),
        lambda channel, why: refuse_call(line, channel, why),
        reactor,
        allow=settings.agi.allow,
        max_calls=settings.agi.max_calls,
        max_call_s=settings.agi.max_call_min * 60,
        counts=counts,
        calls_elsewhere=calls_elsewhere,
    )
