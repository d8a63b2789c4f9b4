"""Where a session stands, and every way from one state to another."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where the session stands (section 2.2, with the steps between its states).

    The specification's BOUND_TX, BOUND_RX and BOUND_TRX are one state here, moved by the same
    causes; what each may send is the session's bind mode.
    """

    CONNECTED = "connected"
    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class Cause(Enum):
    """What moves the session from one state to another."""

    BIND_SENT = "bind sent"
    BIND_ACCEPTED = "bind accepted"
    BIND_REFUSED = "bind refused"
    UNBIND_SENT = "unbind sent"
    UNBIND_ANSWERED = "unbind answered"
    UNBIND_RECEIVED = "unbind received"
    NO_ANSWER = "no answer"
    STALLED = "stalled"
    UNREADABLE = "unreadable"
    CONNECTION_LOST = "connection lost"


TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.CONNECTED, Cause.BIND_SENT): State.BINDING,
    (State.CONNECTED, Cause.UNREADABLE): State.CLOSED,
    (State.CONNECTED, Cause.CONNECTION_LOST): State.CLOSED,
    (State.BINDING, Cause.BIND_ACCEPTED): State.BOUND,
    (State.BINDING, Cause.BIND_REFUSED): State.CLOSED,
    (State.BINDING, Cause.NO_ANSWER): State.CLOSED,
    (State.BINDING, Cause.UNREADABLE): State.CLOSED,
    (State.BINDING, Cause.CONNECTION_LOST): State.CLOSED,
    (State.BOUND, Cause.UNBIND_SENT): State.UNBINDING,
    (State.BOUND, Cause.UNBIND_RECEIVED): State.CLOSED,
    (State.BOUND, Cause.NO_ANSWER): State.CLOSED,
    (State.BOUND, Cause.STALLED): State.CLOSED,
    (State.BOUND, Cause.UNREADABLE): State.CLOSED,
    (State.BOUND, Cause.CONNECTION_LOST): State.CLOSED,
    (State.UNBINDING, Cause.UNBIND_ANSWERED): State.CLOSED,
    (State.UNBINDING, Cause.UNBIND_RECEIVED): State.CLOSED,
    (State.UNBINDING, Cause.NO_ANSWER): State.CLOSED,
    (State.UNBINDING, Cause.UNREADABLE): State.CLOSED,
    (State.UNBINDING, Cause.CONNECTION_LOST): State.CLOSED,
}
"""Every way from one state to another; what is not here cannot happen."""
