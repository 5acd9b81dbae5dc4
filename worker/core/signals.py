"""
How statements about one signal settle into what is true of it.

A source either stamps every statement (then the stamp orders them, whatever the order of arrival) or none
(then the inbox does). Repeats and late statements change nothing. This file may not know rules or episodes.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from enum import StrEnum

from worker.core.model import Event, Signal, Status, digest

CLOCK_SKEW = timedelta(minutes=5)
"""How far a sender's clock may run ahead; a later stamp is cut to the receipt, so that it cannot block all others."""


_NEXT = timedelta(microseconds=1)


class Change(StrEnum):
    """What a statement did to its signal."""

    NEWS = "news"
    REPEAT = "repeat"
    STALE = "stale"
    REMARK = "remark"  # neither fires nor resolves


def settle(signal: Signal | None, event: Event, received_at: datetime, seq: int) -> tuple[Signal | None, Change]:
    """
    Take a statement into account.

    Args:
        signal: What is known so far; None: nothing.
        event: The statement.
        received_at: When its inbound was received.
        seq: The place of its inbound in the inbox.

    Returns:
        What is known now, and what the statement changed. None only for a remark about an unknown signal.
    """
    if event.status is Status.INFO:
        return signal, Change.REMARK
    if signal is None:
        return _merged(None, event, _stamp(None, event, received_at), received_at, seq), Change.NEWS
    stamped = event.occurred_at is not None
    told, known = _places(signal, event, received_at)
    change = _by_stamp(signal, event, told < known) if stamped else _by_receipt(signal, event, seq)
    if change is not Change.NEWS:
        return signal, change
    if stamped and (told, *_tie(event)) <= (known, *_tie(signal.event)):
        return signal, Change.NEWS  # of two with one stamp always the same wins, in any order of arrival
    return _merged(signal, event, _stamp(signal, event, received_at), received_at, seq), Change.NEWS


def _places(signal: Signal, event: Event, received_at: datetime) -> tuple[datetime, datetime]:
    """
    Give two times that set a statement before or after what is known.

    Two stamps of a sender are in order even where it is our clock that is wrong. Only between one that our clock cannot
    believe and one that it can, the receipt of the former counts.
    """
    latest = received_at + CLOCK_SKEW
    told, known = event.occurred_at or received_at, signal.event.occurred_at
    if known is None or told <= latest < known:
        return min(told, received_at), signal.stamp
    return told, known


def _stamp(signal: Signal | None, event: Event, received_at: datetime) -> datetime:
    told = event.occurred_at
    if told is not None and told <= received_at + CLOCK_SKEW:
        return told
    if told is None or signal is None:
        return received_at
    return max(received_at, signal.stamp + _NEXT)


def _by_stamp(signal: Signal, event: Event, before: bool) -> Change:
    if before:
        return Change.STALE
    return Change.REPEAT if event == signal.event else Change.NEWS


def _by_receipt(signal: Signal, event: Event, seq: int) -> Change:
    if seq < signal.seq:
        return Change.STALE
    if event == signal.event:
        return Change.REPEAT
    started, known = event.started_at, signal.event.started_at
    if event.status is Status.RESOLVED and started and known and started < known:
        return Change.STALE
    return Change.NEWS


def _tie(event: Event) -> tuple[bool, str]:
    return event.status is Status.RESOLVED, digest(asdict(event))


def _merged(signal: Signal | None, event: Event, stamp: datetime, received_at: datetime, seq: int) -> Signal:
    same_status = signal is not None and signal.event.status is event.status
    since = signal.since if signal is not None and same_status else received_at
    over, last_resolve = (signal.over, signal.last_resolve) if signal else (None, None)
    if event.status is Status.RESOLVED:
        ended = event.started_at or (signal.event.started_at if signal else None)
        over = max(filter(None, (over, ended)), default=None)
        last_resolve = None if event.occurred_at is None and ended else stamp
    elif over is not None and event.started_at is not None and event.started_at <= over and not same_status:
        # It is back with its old start, as when a monitoring could not reach its alert manager for a while: only the
        # resolve in between sets this occurrence apart from the last.
        last_resolve = signal.stamp if signal else None
    merged = Signal(event=event, stamp=stamp, since=since, over=over, last_resolve=last_resolve, seq=seq)
    return replace(merged, version=signal.version) if signal else merged
