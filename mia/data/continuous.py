"""Which contract leads a session: the roll by volume."""

from collections.abc import Callable, Mapping, Sequence

from mia.data.contracts import parse_contract


def front_contracts(
    days: Mapping[int, Sequence[str]], volume: Callable[[str, int], int]
) -> dict[int, str]:
    """Choose the contract of each session, without adjusting any price.

    The contract with the larger volume of the previous session leads from the next session on,
    and the lead never goes back to an earlier expiry. The first session takes the nearest
    expiry, since nothing is known before it; a leader that has ended gives way to the next
    expiry at hand. Nothing is used before it was known.

    Parameters
    ----------
    days : mapping of int to sequence of str
        Contracts with data by session id.
    volume : callable
        Traded contracts of a contract in a session; asked only where there is a choice.

    Returns
    -------
    dict of int to str
        Contract by session, in order; a session with earlier expiries only has none.
    """
    front: dict[int, str] = {}
    leader: str | None = None
    before: int | None = None
    for day in sorted(days):
        if leader is not None and before is not None:
            leader = _heaviest(leader, before, days[before], volume)
        available = sorted(days[day], key=parse_contract)
        if leader is None:
            leader = available[0]
        elif leader not in available:
            current = parse_contract(leader)
            leader = next((c for c in available if parse_contract(c) > current), leader)
        if leader in available:
            front[day] = leader
        before = day
    return front


def _heaviest(
    leader: str, day: int, contracts: Sequence[str], volume: Callable[[str, int], int]
) -> str:
    later = [c for c in contracts if parse_contract(c) > parse_contract(leader)]
    if not later:
        return leader
    largest = volume(leader, day) if leader in contracts else 0
    for contract in sorted(later, key=parse_contract):
        size = volume(contract, day)
        if size > largest:
            leader, largest = contract, size
    return leader
