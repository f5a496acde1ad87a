"""Answers questions about contracts, and about the gateway itself."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mia.gateway.catalogue import INDICES, MARKET_RULES, OPTION_EXCHANGES, OPTION_MULTIPLIER, option
from mia.gateway.protocol import market_replies, replies
from mia.gateway.protocol.contract_texts import about
from mia.gateway.protocol.query import ContractQuery

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession


class ReferenceDesk:
    """Contracts, market rules, option parameters, accounts by name, and the time.

    Parameters
    ----------
    session : ClientSession
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, session: "ClientSession", clock: Callable[[], float] = time.monotonic):
        self._session = session
        self._gateway = session.gateway
        self._clock = clock
        self._asked_at = float("-inf")

    def close(self) -> None:
        """Nothing lasts here."""

    def on_contract_details(self, request_id: int, query: ContractQuery) -> None:
        """Answer with message 10 for each contract, then 52."""
        session, catalogue = self._session, self._gateway.catalogue
        found = catalogue.find(query)
        if not found:
            session.resolve(request_id, query)
            return
        today = self._gateway.market.session_id
        for contract in found:
            text = about(contract, today)
            session.send(
                *market_replies.contract_details(session.version, request_id, contract, text)
            )
        session.send(*replies.end("contract_details", request_id))

    def on_option_parameters(
        self, request_id: int, symbol: str, exchange: str, sec_type: str, con_id: int
    ) -> None:
        """Answer with message 75 for each exchange and class, then 76."""
        session = self._session
        index = INDICES["SPX"]
        if exchange == "" and (symbol, sec_type, con_id) == ("SPX", "IND", index.con_id):
            listing = self._gateway.catalogue.listing()
            for place in OPTION_EXCHANGES:
                for name, expiries in listing.expiries.items():
                    dates = sorted(option(name, each, 5.0, "C").expiry for each in expiries)
                    session.send(
                        *market_replies.option_parameters(
                            request_id,
                            place,
                            index.con_id,
                            name,
                            OPTION_MULTIPLIER,
                            dates,
                            listing.strikes,
                        )
                    )
        session.send(*replies.end("option_parameters", request_id))

    def on_matching_symbols(self, request_id: int, pattern: str) -> None:
        """Answer with message 79."""
        found = self._gateway.catalogue.matching(pattern)
        self._session.send(*market_replies.symbol_samples(self._session.version, request_id, found))

    def on_market_rule(self, rule_id: int) -> None:
        """Answer with message 93."""
        if rule_id in MARKET_RULES:
            self._session.send(*market_replies.market_rule(rule_id, MARKET_RULES[rule_id]))
        else:
            self._session.error(-1, 321, f"Error validating request:-market rule {rule_id}")

    def on_managed_accounts(self) -> None:
        """Answer with message 15."""
        self._session.send(*replies.managed_accounts(self._gateway.options.accounts))

    def on_ids(self, count: int) -> None:
        """Answer with message 9; how many are asked for has no effect, as on the real one."""
        del count
        self._session.send(
            *replies.next_valid_id(self._gateway.next_order_id(self._session.client_id))
        )

    def on_current_time(self) -> None:
        """Answer with message 49: at once, or in lock-step at the end of a step."""
        if self._gateway.options.lockstep:
            self._session.asked += 1
            self._gateway.on_asked()
            return
        now = self._clock()
        if now - self._asked_at < self._gateway.options.limits.current_time_pause_s:
            return
        self._asked_at = now
        self._session.send(*replies.current_time(self._gateway.market.now))

    def on_log_level(self, level: int) -> None:
        """Take it; the gateway logs what it logs."""
        del level

    def on_news_bulletins(self, all_messages: bool) -> None:
        """Take it; there are none."""
        del all_messages

    def on_cancel_news_bulletins(self) -> None:
        """Take it."""

    def on_soft_dollar_tiers(self, request_id: int) -> None:
        """Answer with message 77: none."""
        self._session.send(77, (request_id, 0))

    def on_family_codes(self) -> None:
        """Answer with message 78: one without a code for each account."""
        accounts = self._gateway.options.accounts
        codes = [value for account in accounts for value in (account, "")]
        self._session.send(78, (len(accounts), *codes))

    def on_depth_exchanges(self) -> None:
        """Answer with message 80."""
        self._session.send(80, (1, "CME", "FUT", "", "Deep", 2147483647))

    def on_smart_components(self, request_id: int, exchange: str) -> None:
        """Answer with message 82."""
        del exchange
        self._session.send(82, (request_id, 1, 0, "CBOE", "C"))

    def on_news_providers(self) -> None:
        """Answer with message 85: none."""
        self._session.send(85, (0,))

    def on_user_info(self, request_id: int) -> None:
        """Answer with message 107."""
        self._session.send(107, (request_id, ""))
