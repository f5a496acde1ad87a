"""``mia options``: archive chains, show what they say, map their levels to ES."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.command_line import JsonOption, output_console
from mia.errors import DataError, FormatError, UsageError

if TYPE_CHECKING:
    from mia.core.chain import Chain
    from mia.features.options_summary import Appraisal
    from mia.features.positioning import Positioning

SECOND = 1_000_000_000
SHOWN_ISSUES = 5

options = typer.Typer(no_args_is_help=True, help="SPX option chains and dealer positioning.")

FileArgument = Annotated[Path, typer.Argument(help="A chain: Cboe CSV or JSON, OCC, Parquet.")]
ReceivedOption = Annotated[
    str | None,
    typer.Option(
        "--received-at",
        help="When the file was received, ISO 8601 with a zone; what the file says if absent.",
    ),
]
AsofOption = Annotated[
    str | None,
    typer.Option("--quotes-asof", help="Exchange time of the quotes, where the file has none."),
]
ModelOption = Annotated[
    str, typer.Option(help="Assumed sign of dealers: naive, gross, short_all, volume, skew_adj.")
]
RateOption = Annotated[
    float | None,
    typer.Option(help="Interest rate a year, e.g. 0.053; estimated from the chain if absent."),
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", help="Judge the quality at this instant; on receipt if absent."),
]


def _instant(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"{option} takes a time with its zone as 2024-01-05T16:15-05:00, was {text!r}"
        )
    return int(moment.timestamp()) * SECOND + moment.microsecond * 1000


@options.command("import")
def options_import(
    files: Annotated[list[Path], typer.Argument(help="Chains as they were received.")],
    out: Annotated[Path, typer.Option(help="Archive folder, made if need be.")],
    received_at: ReceivedOption = None,
    quotes_asof: AsofOption = None,
    source: Annotated[str | None, typer.Option(help="Name of the source.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Keep chains as received, so that a backtest knows each from then on.

    Example: mia options import quotedata.csv --out chains
    """
    from mia.data.chains import ChainArchive, read_chain
    from mia.data.files import reading
    from mia.features.options_summary import iso

    received = _instant(received_at, "--received-at")
    asof = _instant(quotes_asof, "--quotes-asof")
    archive = ChainArchive(out)
    results: list[dict[str, Any]] = []
    refused = []
    for path in files:
        with reading(path):
            payload = path.read_bytes()
        try:
            entry = archive.put(payload, received, source, quotes_asof=asof, name=path.name)
        except FormatError as error:
            refused.append(str(error))
            results.append({"file": path.name, "error": str(error)})
            continue
        chain = read_chain(
            entry.path,
            received_at=entry.received_at,
            source=entry.source,
            quotes_asof=entry.quotes_asof,
        )
        results.append(
            {
                "file": path.name,
                "archived": str(entry.path),
                "source": entry.source,
                "received_at": iso(entry.received_at),
                "asof": iso(chain.meta.quotes_asof) if chain.meta.quotes_asof else None,
                "oi_session": chain.meta.oi_session,
                "contracts": len(chain),
                "issues": len(chain.issues),
            }
        )
        if not as_json:
            print(
                f"{path.name}: {len(chain)} contracts, received {iso(entry.received_at)}, "
                f"{len(chain.issues)} rows set aside"
            )
            _print_issues(chain, path.name)
    if as_json:
        print(json.dumps(results, indent=2))
    if refused:
        raise FormatError(
            f"{len(refused)} of {len(files)} refused, kept in quarantine: {refused[0]}"
        )


def _print_issues(chain: "Chain", name: str) -> None:
    for issue in chain.issues[:SHOWN_ISSUES]:
        detail = f": {issue.text}" if issue.text else ""
        print(f"  {name} row {issue.row}: {issue.reason}{detail[:80]}")
    if len(chain.issues) > SHOWN_ISSUES:
        print(f"  and {len(chain.issues) - SHOWN_ISSUES} more")


def _read(
    path: Path, received_at: str | None, quotes_asof: str | None, model: str, rate: float | None
) -> "Positioning":
    from mia.data.chains import read_chain
    from mia.features.dealer_models import MODELS
    from mia.features.options_exposure import positioning

    if model not in MODELS:
        raise UsageError(f"--model must be one of {', '.join(MODELS)}, was {model!r}")
    chain = read_chain(
        path,
        received_at=_instant(received_at, "--received-at"),
        quotes_asof=_instant(quotes_asof, "--quotes-asof"),
    )
    if not chain.meta.quotes_asof:
        raise DataError(f"{path.name} holds open interest without quotes: merge it in an archive")
    return positioning(chain, model=MODELS[model], rate=rate)


@options.command("show")
def options_show(
    file: FileArgument,
    model: ModelOption = "naive",
    rate: RateOption = None,
    received_at: ReceivedOption = None,
    quotes_asof: AsofOption = None,
    at: AtOption = None,
    html: Annotated[Path | None, typer.Option(help="Also draw this page.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a chain says of dealers' positioning, with as-of time and quality.

    Example: mia options show quotedata.csv --html gex.html
    """
    from mia.features.options_summary import appraise, map_to_es, summary
    from mia.performance.gex_page import write_page

    found = _read(file, received_at, quotes_asof, model, rate)
    judged = _instant(at, "--at")
    appraisal = appraise(found, found.received_at if judged is None else judged)
    if html is not None:
        write_page(html, file.name, found, appraisal, map_to_es(found, found.asof))
    if as_json:
        print(
            json.dumps({"file": file.name} | summary(found, appraisal), indent=2, allow_nan=False)
        )
    else:
        _print_positioning(file.name, found, appraisal)
        if html is not None:
            print(f"page: {html}")


def _print_positioning(name: str, found: "Positioning", appraisal: "Appraisal") -> None:
    from rich.table import Table

    from mia.features.options_summary import iso
    from mia.performance.positioning_table import positioning_lines

    console = output_console()
    table = Table(
        "",
        "value",
        "unit",
        "as of",
        "quality",
        title=f"{name}: {found.model} positioning of dealers",
    )
    for line in positioning_lines(found, appraisal):
        table.add_row(line.name, line.value, line.unit, line.asof, line.quality)
    console.print(table)
    factors = ", ".join(f"{key} {value:.2f}" for key, value in appraisal.factors.items())
    print(f"quality {appraisal.quality:.2f} at {iso(appraisal.at)}: {factors}")
    if not appraisal.usable:
        print("below 0.20 the options count as missing: no level, every feature 0")


@options.command("levels")
def options_levels(
    file: FileArgument,
    es: Annotated[float, typer.Option(help="Price of ES at --at, points.")],
    contract: Annotated[
        str | None, typer.Option(help="ES contract as ESH24; the nearest quarterly if absent.")
    ] = None,
    model: ModelOption = "naive",
    rate: RateOption = None,
    received_at: ReceivedOption = None,
    quotes_asof: AsofOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Map the levels of a chain to ES.

    Example: mia options levels quotedata.csv --es 4736.75
    """
    from rich.table import Table

    from mia.data.contracts import parse_contract
    from mia.features.options_summary import LEVELS, appraise, iso, map_to_es

    if not es > 0.0:
        raise UsageError(f"--es must be positive, was {es}")
    settles = None if contract is None else parse_contract(contract).expiry
    found = _read(file, received_at, quotes_asof, model, rate)
    judged = _instant(at, "--at")
    now = found.received_at if judged is None else judged
    appraisal = appraise(found, now)
    to_es = map_to_es(found, now, es, settles=settles)
    rows = []
    for name in LEVELS:
        level = getattr(found, name)
        if appraisal.usable and level == level:  # noqa: PLR0124 - nan is unlike itself
            price = to_es.level(level)
            rows.append(
                {"level": name, "spx": level, "es": round(4 * price) / 4, "away": price - es}
            )
    rows.sort(key=lambda row: -row["spx"])
    if as_json:
        facts = {
            "file": file.name,
            "asof": iso(found.asof),
            "quality": appraisal.quality,
            "es": es,
            "spot": to_es.spot if to_es.spot == to_es.spot else None,
            "basis_from": to_es.basis_from,
            "levels": rows,
        }
        print(json.dumps(facts, indent=2, allow_nan=False))
        return
    if not rows:
        print(f"no level: quality {appraisal.quality:.2f} at {iso(now)}")
        return
    table = Table("level", "SPX", "ES", "from price", "as of", "quality")
    for row in rows:
        table.add_row(
            str(row["level"]).replace("_", " "),
            f"{row['spx']:,.2f}",
            f"{row['es']:,.2f}",
            f"{row['away']:+,.2f}",
            iso(found.asof),
            f"{appraisal.quality:.2f}",
        )
    output_console().print(table)
    print(f"basis {to_es.es - to_es.spot:+.2f} points, from {to_es.basis_from}")
