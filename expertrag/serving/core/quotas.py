"""Enforces the quota of each caller: token buckets that refill continuously."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from expertrag.api.errors import Overloaded
from expertrag.auth import Caller, Quota

_MINUTE_S = 60.0
_MOST_CALLERS = 10_000
_SECONDS_OF_CONCURRENT = 1.0
"""When to retry after too many concurrent calls; how long they take is not known."""

Rate = Literal["requests", "tokens", "documents", "bytes"]
RATES: tuple[Rate, ...] = ("requests", "tokens", "documents", "bytes")


@dataclass(slots=True)
class _Bucket:
    """Holds up to one minute's amount. What is charged afterwards may leave a debt."""

    per_minute: int
    level: float
    filled_at: float

    def refill(self, now: float) -> None:
        added = (now - self.filled_at) * self.per_minute / _MINUTE_S
        self.level = min(float(self.per_minute), self.level + added)
        self.filled_at = now

    def wait_s(self, wanted: float) -> float:
        """Seconds until ``wanted`` is there; 0 if it is now."""
        return max(0.0, (wanted - self.level) * _MINUTE_S / self.per_minute)


@dataclass(slots=True)
class _Account:
    quota: Quota
    buckets: dict[Rate, _Bucket] = field(default_factory=dict)
    running: int = 0


class Quotas:
    """The accounts of all callers; use it on one event loop."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()  # least recently used first

    @contextmanager
    def call(self, caller: Caller, requests: int = 1) -> Iterator[None]:
        """Count a call; it runs within the block.

        :param requests: what it takes of the calls per minute; 0 for one that every client sends
            before its own.

        :raises Overloaded: the caller has too many, or has not paid its debts yet.
        """
        account = self._account(caller)
        concurrent = caller.quota.concurrent
        if concurrent is not None and account.running >= concurrent:
            raise _quota_error(caller, "concurrent", concurrent, _SECONDS_OF_CONCURRENT)
        self._require(caller, account, "requests", requests)
        self._require(caller, account, "bytes", 0)
        if "requests" in account.buckets:
            account.buckets["requests"].level -= requests
        account.running += 1
        try:
            yield
        finally:
            account.running -= 1

    def charge(self, caller: Caller, rate: Rate, amount: int) -> None:
        """Charge what a call has used; the next one that uses it waits until it is paid."""
        bucket = self._account(caller).buckets.get(rate)
        if bucket is not None:
            bucket.refill(time.monotonic())
            bucket.level -= amount

    def check(self, caller: Caller, rate: Rate) -> None:
        """Check that the caller has no debt, before a call uses more.

        :raises Overloaded: if it has.
        """
        self._require(caller, self._account(caller), rate, 0)

    def _require(self, caller: Caller, account: _Account, rate: Rate, wanted: int) -> None:
        bucket = account.buckets.get(rate)
        if bucket is None:
            return
        bucket.refill(time.monotonic())
        if (wait_s := bucket.wait_s(wanted)) > 0:
            raise _quota_error(caller, rate, bucket.per_minute, wait_s)

    def _account(self, caller: Caller) -> _Account:
        account = self._accounts.get(caller.id)
        if account is None or account.quota != caller.quota:
            fresh = _Account(caller.quota, running=account.running if account else 0)
            now = time.monotonic()
            for rate in RATES:
                limit = getattr(caller.quota, rate)
                if limit is not None:
                    fresh.buckets[rate] = _Bucket(limit, float(limit), now)
            self._accounts[caller.id] = account = fresh
            self._drop_idle()
        self._accounts.move_to_end(caller.id)
        return account

    def _drop_idle(self) -> None:
        """Forget callers beyond a number; a JSON Web Token can name anyone."""
        if len(self._accounts) > _MOST_CALLERS:
            for name in [name for name, item in self._accounts.items() if not item.running]:
                del self._accounts[name]
                if len(self._accounts) <= _MOST_CALLERS:
                    return


def _quota_error(caller: Caller, name: str, limit: int, wait_s: float) -> Overloaded:
    unit = "at a time" if name == "concurrent" else "per minute"
    what = "calls" if name == "concurrent" else name
    return Overloaded(
        f"the quota of {limit:,} {what} {unit} is used up; retry in {wait_s:.1f} s",
        reason="QUOTA_EXCEEDED",
        retry_after_s=wait_s,
        metadata={"quota": name, "caller": caller.id},
    )
