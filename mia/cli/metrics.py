"""``mia metrics``: the trader's numbers for Prometheus."""

from pathlib import Path
from typing import Annotated

import typer


def metrics(
    state: Annotated[
        Path,
        typer.Option(
            "--state", "--state-dir", envvar="MIA_STATE_DIR", help="State directory of the trader."
        ),
    ],
    address: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9464,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of this server's certificate.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="PEM file of who signs the scrapers' certificates.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the metrics and stop.")] = False,
) -> None:
    """Expose what the trader shows at /metrics; the trader need not run.

    Any address but a loopback one needs all three files.

    Example: mia metrics --state state/DU1234567
    """
    from prometheus_client import CollectorRegistry, generate_latest

    from mia.monitoring.account_metrics import AccountCollector
    from mia.monitoring.metrics import FrameCollector
    from mia.monitoring.metrics_server import Door, metrics_server

    collectors = (FrameCollector(state), AccountCollector(state))
    if once:
        registry = CollectorRegistry(auto_describe=False)
        for collector in collectors:
            registry.register(collector)
        print(generate_latest(registry).decode(), end="")
        return
    with metrics_server(Door(address, port, certificate, key, client_ca), *collectors) as server:
        scheme = "http" if certificate is None else "https"
        typer.echo(f"metrics at {scheme}://{address}:{server.server_port}/metrics", err=True)
        server.serve_forever()
