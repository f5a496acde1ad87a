"""The description of a contract that requests carry."""

from dataclasses import dataclass

from mia.gateway.protocol.wire import Fields, WireError


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """What a client says about the contract it means; empty fields leave it open.

    Attributes
    ----------
    con_id : int
        0 leaves it open.
    expiry : str
        ``yyyymm`` or ``yyyymmdd``.
    strike : float
        0 leaves it open.
    legs : int
        Of a combination.
    """

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    include_expired: bool = False
    sec_id_type: str = ""
    sec_id: str = ""
    legs: int = 0


def read_contract(fields: Fields) -> ContractQuery:
    """Read the twelve fields of a contract.

    Raises
    ------
    WireError
        If a field is missing or not what it should be.
    """
    return ContractQuery(
        con_id=fields.optional_integer("conId") or 0,
        symbol=fields.text("symbol"),
        sec_type=fields.text("secType"),
        expiry=fields.text("lastTradeDateOrContractMonth"),
        strike=fields.optional_number("strike") or 0.0,
        right=fields.text("right"),
        multiplier=fields.text("multiplier"),
        exchange=fields.text("exchange"),
        primary_exchange=fields.text("primaryExchange"),
        currency=fields.text("currency"),
        local_symbol=fields.text("localSymbol"),
        trading_class=fields.text("tradingClass"),
    )


def read_legs(fields: Fields) -> int:
    """Read the legs of a combination in a request for data and count them.

    Raises
    ------
    WireError
        If a field is missing or not what it should be.
    """
    count = fields.integer("count of comboLegs")
    if not 0 <= count <= 1000:
        raise WireError(f"count of comboLegs must be 0 to 1000, was {count}")
    for k in range(count):
        fields.integer(f"comboLegs.{k}.conId")
        fields.integer(f"comboLegs.{k}.ratio")
        fields.text(f"comboLegs.{k}.action")
        fields.text(f"comboLegs.{k}.exchange")
    return count
