"""The five things that a person must do before real money is traded."""

from collections.abc import Mapping
from pathlib import Path

from mia.errors import ConfigError

_LIMITS = ("MAX_DAILY_LOSS", "MAX_POSITION_SIZE")


def require_armed(
    *,
    live_flag: bool,
    mode: str,
    account: str | None,
    environment: Mapping[str, object],
    token: Path,
    today: int,
) -> None:
    """Refuse live trading unless all five locks are open.

    Parameters
    ----------
    live_flag : bool
        Whether ``--live`` was given.
    mode : str
        Value of ``TRADING_MODE``.
    account : str or None
        Account id that the orders are meant for.
    environment : mapping
        What the user set; the limits must stand there, a default does not count.
    token : Path
        Arm token: a file whose text is the date of the session, yyyymmdd.
    today : int
        Date of the session, yyyymmdd.

    Raises
    ------
    ConfigError
        Naming every lock that is still closed.
    """
    closed = []
    if not live_flag:
        closed.append("give --live")
    if mode != "live":
        closed.append(f"set TRADING_MODE=live (it is {mode})")
    if not account:
        closed.append("name the account id")
    absent = [name for name in _LIMITS if environment.get(name) is None]
    if absent:
        closed.append(f"set {' and '.join(absent)}")
    try:
        armed = token.read_text(encoding="ascii").strip() == str(today)
    except (OSError, UnicodeDecodeError):
        armed = False
    if not armed:
        closed.append(f"write {today} into {token}")
    if closed:
        raise ConfigError(f"live trading is locked: {'; '.join(closed)}")
