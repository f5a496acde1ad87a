"""What a start waits for."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mia.errors import BrokerError
from mia.trader.start_up import StartUp


class QuietMarket:
    """Answers neither question before both were asked."""

    def __init__(self, refusal: str = "") -> None:
        self._asked: list[str] = []
        self._both = asyncio.Event()
        self._refusal = refusal

    async def _ask(self, what: str) -> None:
        self._asked.append(what)
        if len(self._asked) == 2:
            self._both.set()
        await self._both.wait()
        if what == self._refusal:
            raise BrokerError(f"{what}: the gateway refused")

    async def subscribe_quotes(self, contract: Any, confirm: float) -> None:
        await self._ask("quotes")

    async def subscribe_trades(self, contract: Any, confirm: float) -> None:
        await self._ask("trades")


def subscribe(refusal: str = "") -> None:
    parts = SimpleNamespace(
        settings=SimpleNamespace(feed="ibkr"),
        options=SimpleNamespace(lockstep=False),
        session=SimpleNamespace(ticks=SimpleNamespace(start_contract=lambda name: None)),
    )
    start = StartUp.__new__(StartUp)
    start._settings, start._options, start._session = parts.settings, parts.options, parts.session

    async def scene() -> None:
        async with asyncio.timeout(20):
            await start._subscribe(QuietMarket(refusal), SimpleNamespace(name="ESZ25"))

    asyncio.run(scene())


def test_a_quiet_market_is_waited_for_once_and_not_for_each_subscription() -> None:
    subscribe()


@pytest.mark.parametrize("refused", ["quotes", "trades"])
def test_a_refusal_of_either_ends_the_start(refused: str) -> None:
    with pytest.raises(BrokerError, match=f"{refused}: the gateway refused"):
        subscribe(refused)
