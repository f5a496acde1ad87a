"""The gateway against client libraries that were written elsewhere: all must see the same.

Each library runs in an interpreter of its own, with the same script, against a gateway in
lock-step; every callback is compared, argument by argument. Differences that are the libraries'
own are named here; everything else is the gateway's fault.
"""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mia.gateway.limits import Limits
from mia.gateway.options import GatewayOptions
from mia.gateway.server import running_gateway

SCRIPTS = Path(__file__).parent / "clients"
FOLDER = os.environ.get("MIA_CLIENT_ENVS", "")
PROGRAMS = {
    "ib_insync": "ib_insync_client.py",
    "ib_async": "ib_async_client.py",
    "ibapi1019": "ibapi_client.py",
    "ibapi1050": "ibapi_client.py",
}
RUNS = [(name, version) for version in (157, 176) for name in PROGRAMS] + [
    ("ib_async", 178),
    ("ibapi1050", 178),
]
REFERENCE = "ib_insync"
PATIENCE = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not FOLDER,
        reason="MIA_CLIENT_ENVS names no folder: run scripts/make_client_environments.py FOLDER",
    ),
]

_NAMES = """
allowPreOpen bondAccruedInterest conditionsIncludeOvernight customerAccount deactivate
eTradeOnly equityWithLoanAfterOutsideRTH equityWithLoanBeforeOutsideRTH
equityWithLoanChangeOutsideRTH eventContract1 eventContractDescription1
eventContractDescription2 faProfile firmQuoteOnly fundAssetType fundBackLoad
fundBackLoadTimeInterval fundBlueSkyStates fundBlueSkyTerritories fundClosed
fundClosedForNewInvestors fundClosedForNewMoney fundDistributionPolicyIndicator fundFamily
fundFrontLoad fundManagementFee fundMinimumInitialPurchase fundName fundNotifyAmount
fundSubsequentMinimumPurchase fundType hedgeMaxSize ignoreOpenAuction includeOvernight
ineligibilityReasonList initMarginAfterOutsideRTH initMarginBeforeOutsideRTH
initMarginChangeOutsideRTH lastPricePrecision lastSizePrecision lastTradeDate
maintMarginAfterOutsideRTH maintMarginBeforeOutsideRTH maintMarginChangeOutsideRTH
manualOrderIndicator marginCurrency mdSizeMultiplier minAlgoSize nbboPriceCap
optExerciseOrLapseType orderAllocations pendingPriceRevision postOnly professionalCustomer
ptOrderId ptOrderType rejectReason seekPriceImprovement settlementMethod slOrderId
slOrderType submitter suggestedSize whatIfType
"""
ONLY_SOME_LIBRARIES_HAVE = set(_NAMES.split())
"""Attributes of orders, contracts and executions that not every library has."""

UNSET_OR_ZERO = {
    "contractDetails[1].minSize": 157,
    "contractDetails[1].sizeIncrement": 157,
    "contractDetails[1].suggestedSizeIncrement": 157,
    "completedOrder[1].usePriceMgmtAlgo": 178,
    "openOrder[2].routeMarketableToBbo": 178,
}
"""Attributes that are not on the wire up to a version: libraries call them 0 or unset."""

LOGGED_BY_THE_LIBRARY = {"ib_async": ("Error 202,",)}
"""What a library logs as an error although it is none: a cancellation that was asked for."""


@cache
def saw(name, version):
    """Run a client; return what it saw."""
    return asyncio.run(_run(name, version))


async def _run(name, version):
    python = Path(FOLDER) / name / "bin" / "python"
    options = GatewayOptions(
        lockstep=True,
        version=version,
        trades_per_day=20_000,
        limits=Limits(messages_per_second=2_000, historical_burst=100, historical_requests=1_000),
    )
    async with AsyncExitStack() as stack:
        out = Path(stack.enter_context(TemporaryDirectory())) / "seen.json"
        gateway = await stack.enter_async_context(running_gateway(options))
        process = await asyncio.create_subprocess_exec(
            *(str(python), str(SCRIPTS / PROGRAMS[name])),
            *("--port", str(gateway.port), "--out", str(out)),
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            _, said = await process.communicate()
        assert process.returncode == 0, said.decode()[-3000:]
        return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "version"), RUNS)
def test_no_field_is_left_and_nothing_is_logged(name, version) -> None:
    result = saw(name, version)
    assert result["left_over"] == []
    known = LOGGED_BY_THE_LIBRARY.get(name, ())
    assert [line for line in result["log"] if not any(text in line for text in known)] == []


@pytest.mark.parametrize(("name", "version"), RUNS)
def test_all_libraries_see_the_same(name, version) -> None:
    reference = saw(REFERENCE, min(version, 176))["events"]
    found = saw(name, version)["events"]
    assert found.keys() == reference.keys()
    for client, events in reference.items():
        part = ""
        for k, (one, other) in enumerate(zip(events, found[client], strict=False)):
            part = one[1][0] if one[0] == "part" else part
            assert other[0] == one[0], (part, k, one, other)
            different = [
                (where, *values)
                for where, *values in differences(one[1], other[1], one[0])
                if version > UNSET_OR_ZERO.get(where, 0) or set(values) != {0.0, None}
            ]
            assert different == [], (part, k)
        assert len(found[client]) == len(events), part


def differences(one, other, where):
    """Yield where two callbacks differ, beyond what only some libraries have."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key in one and key in other and key not in ONLY_SOME_LIBRARIES_HAVE:
                yield from differences(one[key], other[key], f"{where}.{key}")
            elif key not in ONLY_SOME_LIBRARIES_HAVE:
                yield f"{where}.{key}", "missing"
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for k, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{where}[{k}]")
    elif one != other:
        yield where, one, other


@pytest.mark.parametrize("name", ["ib_insync", "ib_async"])
@pytest.mark.parametrize("version", [157, 176])
def test_a_library_with_a_state_of_its_own_agrees_with_the_gateway(name, version) -> None:
    seen = saw(name, version)["high_level"]
    assert seen["placed"] in ("PreSubmitted", "Submitted")
    assert seen["cancelled"] == "Cancelled"
    assert seen["positions"] == [["ESH5", 1.0]]
    fills = [e for e in saw(name, version)["events"]["1"] if e[0] == "execDetails"]
    live = {e[1][2]["execId"] for e in fills}
    assert seen["executions"] == len(live)


CALLBACKS = {
    "accountDownloadEnd",
    "accountSummary",
    "accountSummaryEnd",
    "accountUpdateMulti",
    "accountUpdateMultiEnd",
    "commissionReport",
    "completedOrder",
    "completedOrdersEnd",
    "contractDetails",
    "contractDetailsEnd",
    "currentTime",
    "error",
    "execDetails",
    "execDetailsEnd",
    "historicalData",
    "historicalDataEnd",
    "historicalTicks",
    "historicalTicksBidAsk",
    "historicalTicksLast",
    "managedAccounts",
    "marketDataType",
    "marketRule",
    "nextValidId",
    "openOrder",
    "openOrderEnd",
    "orderStatus",
    "pnl",
    "pnlSingle",
    "position",
    "positionEnd",
    "realtimeBar",
    "securityDefinitionOptionParameter",
    "securityDefinitionOptionParameterEnd",
    "tickByTickAllLast",
    "tickByTickBidAsk",
    "tickOptionComputation",
    "tickPrice",
    "tickReqParams",
    "tickSize",
    "tickSnapshotEnd",
    "tickString",
    "updateAccountTime",
    "updateAccountValue",
    "updateMktDepth",
    "updatePortfolio",
}
CODES = {200, 201, 202, 110, 321, 10147, 10148, 2104, 2106, 2158}


@pytest.mark.parametrize("version", [157, 176])
def test_the_script_reaches_every_callback_that_a_trader_needs(version) -> None:
    events = saw(REFERENCE, version)["events"]["1"]
    assert sorted(CALLBACKS - {event[0] for event in events}) == []
    assert CODES - {event[1][1] for event in events if event[0] == "error"} == set()
