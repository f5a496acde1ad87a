"""Faults of connections, of the broker's own links, and of the market."""

from collections.abc import Callable

from mia.gateway.faults.fault_box import FaultBox
from mia.gateway.faults.scenario import Fault
from mia.gateway.faults.target import FaultLink

Act = Callable[[FaultBox, Fault, list[FaultLink]], None]

LOST = "Connectivity between IB and Trader Workstation has been lost."
BACK_DATA_LOST = (
    "Connectivity between IB and Trader Workstation has been restored - data lost. "
    "All data requests must be resubmitted."
)
BACK_DATA_KEPT = (
    "Connectivity between IB and Trader Workstation has been restored - data maintained."
)
_BROKEN = {
    "market": (2103, "Market data farm connection is broken:"),
    "history": (2105, "HMDS data farm connection is broken:"),
    "contracts": (2157, "Sec-def data farm connection is broken:"),
}
_OK = {
    "market": (2104, "Market data farm connection is OK:"),
    "history": (2106, "HMDS data farm connection is OK:"),
    "contracts": (2158, "Sec-def data farm connection is OK:"),
}
COMPETING = "No market data during competing live session"
HALTED_TICK = "49"
_LIVE_REQUESTS = frozenset({1, 50, 97})


def happen(box: FaultBox, fault: Fault, link: FaultLink | None) -> None:
    """Let a fault happen; `link` is the connection whose message brought it about."""
    if link is not None and fault.name == "drop":
        links = [link]
    else:
        client = fault.when.client
        links = [one for one in box.gateway.links if client is None or one.client_id == client]
    _ACTS[fault.name](box, fault, links)


def notify(box: FaultBox, links: list[FaultLink], code: int, text: str, request: int = -1) -> None:
    """Send a notice to connections."""
    for link in links:
        box.error(link, request, code, text)


def restore_link(box: FaultBox, data_kept: bool) -> None:
    """Say that the broker can be reached again, and let go what waited for it."""
    links = list(box.gateway.links)
    if not data_kept:
        for link in links:
            link.forget_subscriptions()
    notify(box, links, *((1102, BACK_DATA_KEPT) if data_kept else (1101, BACK_DATA_LOST)))
    box.release()


def _drop(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    for link in links:
        link.close(fault["reset"])


def _freeze(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.freeze()
    if fault["seconds"] > 0:
        box.gateway.later(fault["seconds"], box.thaw)


def _thaw(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.thaw()


def _restart(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.gateway.refuse(fault["seconds"], 0)
    for link in list(box.gateway.links):
        link.close(fault["reset"])
    box.ids_back = fault["ids_back"]


def _link_lost(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.link_down = True
    for _ in range(max(1, fault["repeat"])):
        notify(box, links, 1100, LOST)
    if fault["seconds"] > 0:
        kept = fault["data_kept"]
        box.gateway.later(fault["seconds"], lambda: restore_link(box, kept))


def _link_restored(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    restore_link(box, fault["data_kept"])


def _nightly(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.link_down = True
    notify(box, links, 1100, LOST)
    for kind, farm in (("market", "usfuture"), ("history", "ushmds")):
        code, text = _BROKEN[kind]
        notify(box, links, code, text + farm)

    def over() -> None:
        restore_link(box, fault["data_kept"])
        for kind, farm in (("market", "usfuture"), ("history", "ushmds")):
            code, text = _OK[kind]
            notify(box, list(box.gateway.links), code, text + farm)

    box.gateway.later(fault["seconds"], over)
    if fault["drop"]:
        for link in links:
            link.close(True)


def _farm_lost(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    code, text = _BROKEN[fault["kind"]]
    notify(box, links, code, text + fault["farm"])
    if fault["kind"] == "market":
        box.quiet.add(fault["farm"])


def _farm_restored(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    code, text = _OK[fault["kind"]]
    box.quiet.discard(fault["farm"])
    notify(box, links, code, text + fault["farm"])


def _server_lost(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    text = "Connectivity between Trader Workstation and server is broken. It will be restored."
    notify(box, links, 2110, text)


def _per_request(
    box: FaultBox, links: list[FaultLink], kinds: frozenset[int], code: int, text: str
) -> None:
    for link in links:
        for (client, request), kind in list(box.requests.items()):
            if client == link.client_id and kind in kinds:
                box.error(link, request, code, text)


def _no_updates(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    kinds = _LIVE_REQUESTS | {20}
    _per_request(box, links, kinds, 10182, "Failed to request live updates (disconnected).")


def _port(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    text = "Socket port has been reset and this connection is being dropped. Please reconnect "
    notify(box, links, 1300, f"{text}on the new port - {fault['port']}")
    box.gateway.refuse(0.0, fault["port"])
    for link in links:
        link.close(False)


def _competing(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    _per_request(box, links, _LIVE_REQUESTS, 10197, COMPETING)
    box.quiet.add(COMPETING)
    if fault["seconds"] > 0:
        box.gateway.later(fault["seconds"], lambda: box.quiet.discard(COMPETING))


def _depth_reset(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    text = "Market depth data has been RESET. Please empty deep book contents before applying any "
    _per_request(box, links, frozenset({10}), 317, text + "new entries.")


def _notice(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    notify(box, links, fault["code"], fault["text"], fault["request"])


def _manual(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.gateway.place_by_hand(
        fault["symbol"], fault["side"], fault["quantity"], fault["kind"], fault["price"]
    )


def _position(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.gateway.seed_position(fault["symbol"], fault["quantity"], fault["price"])


def _set_halt(box: FaultBox, links: list[FaultLink], halted: bool) -> None:
    box.gateway.halt(halted)
    for link in links:
        for (client, request), kind in list(box.requests.items()):
            if client == link.client_id and kind == 1:
                box.send(link, ["45", "6", str(request), HALTED_TICK, "1.0" if halted else "0.0"])
    if halted:
        box.quiet.add("halt")
    else:
        box.quiet.discard("halt")


def _halt(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    _set_halt(box, links, True)
    if fault["seconds"] > 0:
        box.gateway.later(fault["seconds"], lambda: _set_halt(box, list(box.gateway.links), False))


def _resume(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.quiet.discard("halt")
    _set_halt(box, links, False)


def _limit(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.gateway.limit_price(fault["points"])


def _jump(box: FaultBox, fault: Fault, links: list[FaultLink]) -> None:
    box.gateway.jump(fault["seconds"])


_ACTS: dict[str, Act] = {
    "drop": _drop,
    "freeze": _freeze,
    "thaw": _thaw,
    "restart": _restart,
    "nightly_reset": _nightly,
    "link_lost": _link_lost,
    "link_restored": _link_restored,
    "farm_lost": _farm_lost,
    "farm_restored": _farm_restored,
    "server_lost": _server_lost,
    "no_live_updates": _no_updates,
    "port_change": _port,
    "competing_session": _competing,
    "depth_reset": _depth_reset,
    "notice": _notice,
    "manual_order": _manual,
    "foreign_position": _position,
    "trading_halt": _halt,
    "trading_resumed": _resume,
    "price_limit": _limit,
    "jump": _jump,
}

NAMES = frozenset(_ACTS)
"""Faults that happen here."""
