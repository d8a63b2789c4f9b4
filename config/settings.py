"""Typed sections of `toneline.toml`.

A key that is not listed here does not exist: it is refused at start, never ignored. Every field's
description is its help; `config/toneline.toml` shows the same sentences to the operator.
"""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from config.kinds import (
    AccessNumber,
    DatabaseUrl,
    Endpoint,
    Host,
    Hours,
    Network,
    Pin,
    Prefix,
    TcpEndpoint,
    Timezone,
)


def _different_names(smscs: list[Smsc]) -> list[Smsc]:
    names = [smsc.name for smsc in smscs]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each SMSC needs a name of its own, {name} is there twice")
    return smscs


def _one_sends(smscs: list[Smsc]) -> list[Smsc]:
    if smscs and all(smsc.bind == "receiver" for smsc in smscs):
        raise ValueError("nothing could be sent: every one of them is bound as a receiver alone")
    return smscs


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Line(_Section):
    """The preview line as callers meet it."""

    access_numbers: list[AccessNumber] = Field(
        ["12530019"], min_length=1, description="Numbers that reach the line, without area codes."
    )
    language: str = Field(
        "zh_CN",
        pattern=r"^[A-Za-z0-9_]+$",
        description='Of prompts and SMS texts: "zh_CN" or "en" (folders below paths.messages).',
    )
    timezone: Timezone = Field(
        "Asia/Shanghai", description="Local days and hours are counted here."
    )
    answer: Literal["immediate", "early_media"] = Field(
        "immediate",
        description="early_media plays the first tone before answering, free of charge.",
    )
    early_media_max_s: int = Field(
        40,
        ge=1,
        le=120,
        description="What would last longer is played answered, but for the first tone.",
    )
    lead_in_ms: int = Field(
        300,
        ge=0,
        le=3000,
        description="Silence after the answer, so that no first syllable is lost.",
    )
    agent_dial: str = Field(
        "",
        pattern=r"^[^\r\n\x00]*$",
        description="What Dial() is given when a caller asks for an agent, such "
        'as "PJSIP/10086@trunk".',
    )
    staff: list[str] = Field(
        default_factory=list,
        description="Mobile numbers from which ** at the menu rehearses the line of another day.",
    )
    rehearsal_pin: Pin = Field(
        "",
        pattern=r"^([0-9]{4,12})?$",
        repr=False,
        description="What they type then, 4 to 12 digits; empty: nobody rehearses by telephone.",
    )


class Agi(_Section):
    """The FastAGI server."""

    listen: Endpoint = Field(
        "tcp:4573:interface=127.0.0.1", description="Where Asterisk's AGI() connects."
    )
    allow: list[Network] = Field(
        ["127.0.0.1"],
        min_length=1,
        description="Addresses and networks that may connect: your Asterisk hosts.",
    )
    max_calls: int = Field(
        2000, ge=1, le=100_000, description="Calls at once; the next one hears that lines are busy."
    )
    max_call_min: int = Field(15, ge=1, le=240, description="The longest call, in minutes.")
    drain_s: int = Field(
        60,
        ge=0,
        le=3600,
        description=(
            "How long a stopping server lets calls finish, and SMSCs answer, in seconds each."
        ),
    )
    sounds: str = Field(
        "",
        pattern=r"^[^\r\n\x00]*$",
        description="The sounds folder as Asterisk's host sees it; empty: the same path as here.",
    )


class Ami(_Section):
    """Calls that the line places itself, through Asterisk's manager interface."""

    enabled: bool = Field(
        False, description="Whether ST 1029 is called back; AMI is off in manager.conf as shipped."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Asterisk's host name or address.")
    port: int = Field(5038, ge=1, le=65535, description="TCP port of its manager interface.")
    username: str = Field(
        "toneline", pattern=r"^[^\r\n\x00]+$", description="A section of manager.conf."
    )
    secret: str = Field(
        "",
        pattern=r"^[^\r\n\x00]*$",
        validate_default=True,
        repr=False,
        description="Its secret in manager_site.conf.",
    )
    channel: str = Field(
        "PJSIP/{number}@trunk",
        pattern=r"^[^\r\n\x00{}]*\{number\}[^\r\n\x00{}]*$",
        description="How Asterisk reaches a subscriber; {number} is his number.",
    )
    context: str = Field(
        "toneline",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The line's context in extensions.conf.",
    )
    caller_id: AccessNumber = Field("12530019", description="The number his telephone shows.")
    ring_s: int = Field(30, ge=5, le=120, description="How long his telephone rings, in seconds.")
    number_format: Literal["national", "e164", "plus"] = Field(
        "national", description="13..., 8613... or +8613...: how the trunk wants numbers."
    )

    @field_validator("secret")
    @classmethod
    def _not_empty(cls, secret: str, info: ValidationInfo) -> str:
        if info.data.get("enabled") and not secret:
            raise ValueError("calls cannot be placed without the secret of manager_site.conf")
        return secret


class Sms(_Section):
    """What subscribers see of our short messages."""

    short_codes: list[AccessNumber] = Field(
        ["12530019"], min_length=1, description="Numbers subscribers text; the first is our sender."
    )
    sender_answer: str = Field(
        "",
        pattern=r"^[0-9]{0,15}$",
        description="Sender of answers and notices; empty: the short code.",
    )
    sender_offer: str = Field(
        "", pattern=r"^[0-9]{0,15}$", description="Sender of offers; empty: the short code."
    )
    signature: str = Field(
        "【彩铃直通车】", max_length=14, description="Put before each text; counted in its length."
    )
    allow_shared_sender: bool = Field(
        False,
        description="Whether offers may come from the answers' sender; the simulator's always may.",
    )
    dry_run: bool = Field(
        False, description="Decide and record offers without sending any; answers are sent."
    )
    offers_waiting: int = Field(
        200_000, ge=1, description="Offers that may wait; further ones are refused (queue_full)."
    )

    def sender(self, message_class: str) -> str:
        """Return the sender of a message class (answer, order, offer)."""
        chosen = self.sender_offer if message_class == "offer" else self.sender_answer
        return chosen or self.short_codes[0]


class OnLostResponse(_Section):
    """What becomes of a message when nobody knows whether the SMSC has it, by its class."""

    answer: Literal["resend", "drop"] = Field("resend", description="Answers to subscribers.")
    order: Literal["resend", "drop"] = Field("resend", description="Order notices.")
    offer: Literal["resend", "drop"] = Field("drop", description="Offers.")


class Smsc(_Section):
    """One SMSC to bind to."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,40}$", description="Its name in logs and records."
    )
    host: Host = Field(description="Host name or address.")
    port: int = Field(2775, ge=1, le=65535, description="TCP port.")
    bind: Literal["transceiver", "pair", "transmitter", "receiver"] = Field(
        "transceiver", description="How to bind; pair: a transmitter and a receiver."
    )
    binds: int = Field(1, ge=1, le=100, description="So many binds (or pairs) at once.")
    weight: int = Field(
        1, ge=1, le=1000, description="Its share of the messages among several SMSCs."
    )
    prefixes: list[Prefix] = Field(
        default_factory=list,
        description='Only numbers that begin so, and these before others: ["139"]; [] is all.',
    )
    standby: bool = Field(
        False, description="Used only for numbers that no other SMSC can take now."
    )
    system_id: str = Field(max_length=15, description="Who we are (SMPP 3.4: up to 15 characters).")
    password: str = Field(max_length=8, description="Up to 8 characters (SMPP 3.4).", repr=False)
    window: int = Field(10, ge=1, le=1000, description="Requests under way at once, a bind.")
    tps: int = Field(
        0, ge=0, le=100_000, description="submit_sm in any second, all its binds together; 0: any."
    )
    tls: bool = Field(False, description="Speak TLS, and check the SMSC's certificate.")
    tls_ca: str = Field(
        "", description="File of the authorities that sign it (PEM); empty: the system's."
    )
    number_format: Literal["e164", "plus", "national"] = Field(
        "e164", description="8613..., +8613... or 13...: how the SMSC wants subscribers' numbers."
    )
    source_ton: int = Field(0, ge=0, le=6, description="Type of number of our sender.")
    source_npi: int = Field(0, ge=0, le=18, description="Numbering plan of our sender.")
    dest_ton: int = Field(1, ge=0, le=6, description="Type of number of the subscriber.")
    dest_npi: int = Field(1, ge=0, le=18, description="Numbering plan of the subscriber.")
    system_type: str = Field("", max_length=12, description="As the SMSC's operator tells.")
    service_type: str = Field("", max_length=5, description="As the SMSC's operator tells.")
    interface_version: int = Field(0x34, ge=0, le=0xFF, description="SMPP version, 0x34 for 3.4.")
    enquire_link_s: int = Field(
        30, ge=1, le=3600, description="A sign of life after so much silence."
    )
    response_timeout_s: int = Field(
        30, ge=1, le=600, description="A response later than this is lost."
    )
    alphabet: Literal["gsm7", "latin1", "gb18030"] = Field(
        "gsm7", description="The SMSC's own default alphabet (data_coding 0)."
    )
    long_messages: Literal["udh8", "udh16", "sar", "payload"] = Field(
        "udh8", description="How a long text travels: headers in its parts, TLVs, or whole."
    )
    message_id: Literal["text", "hex_dec"] = Field(
        "text", description="hex_dec: responses carry hexadecimal ids and receipts decimal ones."
    )
    mo_id_tlv: int = Field(
        0,
        ge=0,
        le=0xFFFF,
        description="Tag of the TLV in which the SMSC numbers MOs, such as 0x1400; 0: it has none.",
    )
    mo_retry_status: int = Field(
        0x14,
        ge=1,
        le=0xFFFF,
        description="Answered when an MO cannot be stored in time, so that it comes again.",
    )
    mo_response_deadline_s: int = Field(
        8, ge=1, le=60, description="The longest an MO's answer may take."
    )
    receipt_timeout_h: int = Field(
        72, ge=1, le=720, description="Without a receipt in so many hours the outcome is unknown."
    )
    on_lost_response: OnLostResponse = Field(
        OnLostResponse(),
        description="Without a response the SMSC may have a message: resend it, or drop it?",
    )

    @field_validator("tls_ca")
    @classmethod
    def _of_tls(cls, file: str, info: ValidationInfo) -> str:
        if file and not info.data.get("tls"):
            raise ValueError("it is of no use without tls = true, and the password would be read")
        return file


class Simulator(_Section):
    """The built-in SMSC, used when no [[smsc]] is set."""

    listen: TcpEndpoint = Field("tcp:2775:interface=127.0.0.1", description="SMPP.")
    http: Endpoint = Field(
        "tcp:2776:interface=127.0.0.1", description="HTTP: where `toneline text` sends and reads."
    )
    system_id: str = Field("toneline", max_length=15, description="Who may bind.")
    password: str = Field("toneline", max_length=8, description="With this password.", repr=False)
    script: str = Field(
        "", description="A TOML file of what goes wrong on purpose; empty: nothing does."
    )


class Database(_Section):
    """Where the truth is kept."""

    url: DatabaseUrl = Field(
        "",
        description="Empty: toneline.db below paths.var. Or postgresql+psycopg://...",
        repr=False,
    )


class Paths(_Section):
    """Files, relative to the working directory."""

    var: str = Field(
        "var", min_length=1, description="Database, sounds, what waits for the database."
    )
    directories: str = Field(
        "config/directories", description="The ten-song files of the branches."
    )
    branches: str = Field(
        "config/branches.csv", description="Prefixes of numbers and their branches."
    )
    messages: str = Field("config/messages", description="Texts and prompts by language.")
    voice: str = Field(
        "", description="A Kokoro voice file that speaks imported titles; empty: none."
    )
    publish: bool = Field(
        True,
        description="The scheduler's process watches and publishes directories.",
    )


class Console(_Section):
    """HTTP for operations."""

    listen: Endpoint = Field("tcp:9573:interface=127.0.0.1", description="/healthz and /metrics.")


class Policy(_Section):
    """What protects subscribers."""

    confirm_ttl_min: int = Field(60, ge=1, le=1440, description="A question's life, in minutes.")
    undo_min: int = Field(
        30, ge=0, le=1440, description="Minutes in which an order is undone free of charge."
    )
    orders_per_day: int = Field(10, ge=1, description="Orders of one number a local day.")
    spend_per_day_fen: int = Field(
        3000, ge=0, description="What one number may spend a local day, in fen."
    )
    retention_days: int = Field(
        180, ge=150, description="Days that records are kept, subscriptions from their end on."
    )
    offer_hours: Hours = Field(
        "08:00-21:00", description='When an offer may be sent; "" for all hours.'
    )
    offers_per_day: int = Field(1, ge=0, description="Offers to one number a local day; 0: none.")
    offers_per_month: int = Field(
        4, ge=0, description="Offers to one number a local calendar month; 0: none."
    )
    hangup_sms_hours: Hours = Field(
        "08:00-22:00", description='When the hang-up SMS may be sent; "" for all hours.'
    )
    hangup_sms_delay_s: int = Field(
        45, ge=0, le=3600, description="How long after the last call's end the hang-up SMS is sent."
    )
    hangup_sms_same_days: int = Field(
        7, ge=0, le=365, description="The same tone is offered to a number once in so many days."
    )
    stop_selling_days: int = Field(
        7, ge=0, le=365, description="Selling stops so many days before a licence ends."
    )


class Provisioning(_Section):
    """The operator's side of an order."""

    adapter: Literal["local"] = Field(
        "local", description="local: the answers come from `toneline subscribers set`."
    )
    timeout_s: float = Field(4.0, gt=0, le=60, description="No quote in this time: no order.")


class Log(_Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least shown."
    )
    format: Literal["json", "console"] = Field("json", description="json, or console for people.")


class Settings(_Section):
    """Everything `toneline.toml` may say."""

    line: Line = Line()
    agi: Agi = Agi()
    ami: Ami = Ami()
    sms: Sms = Sms()
    smsc: Annotated[list[Smsc], AfterValidator(_different_names), AfterValidator(_one_sends)] = (
        Field(default_factory=list)
    )
    simulator: Simulator = Simulator()
    database: Database = Database()
    paths: Paths = Paths()
    console: Console = Console()
    policy: Policy = Policy()
    provisioning: Provisioning = Provisioning()
    log: Log = Log()


def service_senders(settings: Settings) -> frozenset[str]:
    """Return the senders that no offer may come from.

    Without an [[smsc]] there are none: nobody but ourselves reads what the simulator delivers.
    """
    if settings.sms.allow_shared_sender or not settings.smsc:
        return frozenset()
    return frozenset({settings.sms.sender("answer")})


def zone(settings: Settings) -> ZoneInfo:
    """Return the line's time zone."""
    return ZoneInfo(settings.line.timezone)
