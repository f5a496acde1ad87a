"""The client library behind one face: ib_insync, or ib_async in an environment of its own.

Both are used as what they agree on: an encoder of requests and a decoder of long messages. Their
sockets, their queues of requests, their Trade and Ticker objects are not used at all.
"""

import asyncio
import importlib
import sys
import threading
import warnings
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from mia.errors import BrokerError, ConfigError

KNOWN = {"ib_insync": ("0.9.86", "eventkit"), "ib_async": ("2.1.0", "aeventkit")}
"""Version that was proven of each library, and the package it takes its events from."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A client library that was loaded.

    Attributes
    ----------
    name, version : str
    client : type
        Encodes requests.
    contract, order, execution_filter : type
        What requests are made of.
    min_version, max_version : int
        Versions of the protocol that it speaks.
    """

    name: str
    version: str
    client: Any
    contract: Any
    order: Any
    execution_filter: Any
    min_version: int
    max_version: int


def load_backend(name: str = "ib_insync") -> Backend:
    """Import a client library.

    Parameters
    ----------
    name : str
        ``ib_insync`` or ``ib_async``. Both take their events from a package that is imported
        as ``eventkit`` but is not the same one, so that they cannot share an environment.

    Raises
    ------
    ConfigError
        If the name is unknown.
    BrokerError
        If the library is not installed, or both are.
    """
    if name not in KNOWN:
        raise ConfigError(f"unknown client library {name!r}: choose one of {', '.join(KNOWN)}")
    version, events = KNOWN[name]
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise BrokerError(
            f"{name} is not installed: run `pip install {name}=={version}` in an environment of "
            "its own"
        ) from None
    foreign = next(package for _, package in KNOWN.values() if package != events)
    if _is_installed(foreign):
        raise BrokerError(
            f"{foreign} shares its import name with {events}, on which {name} depends: "
            "install only one client library in an environment"
        )
    root = _import(name)
    client = root.Client
    return Backend(
        name,
        found,
        client,
        root.Contract,
        root.Order,
        root.ExecutionFilter,
        client.MinClientVersion,
        client.MaxClientVersion,
    )


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _import(name: str) -> Any:
    """Import in a thread that has a loop of its own.

    The events' package asks for the loop of the thread while it is imported. Without one,
    Python 3.12 warns and 3.14 refuses; and whatever loop the caller has must stay as it is.
    """
    if name in sys.modules:
        return sys.modules[name]
    outcome: list[Any] = []

    def run() -> None:
        loop = asyncio.SelectorEventLoop()
        asyncio.set_event_loop(loop)
        try:
            outcome.append(importlib.import_module(name))
        except Exception as error:
            outcome.append(error)
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=run, name=f"import {name}")
        thread.start()
        thread.join()
    if isinstance(outcome[0], Exception):
        raise BrokerError(f"{name} does not load here: {outcome[0]}") from outcome[0]
    return outcome[0]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose sockets are written at once, as `IbkrConnector` needs them.

    The default loop of Windows queues every write, so that a program could not know whether an
    order has left.
    """
    return asyncio.SelectorEventLoop()
