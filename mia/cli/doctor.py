"""``mia doctor``: what has to be right before a trader starts."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mia.cli.watch import StateOption
from mia.command_line import ConfigOption, JsonOption, SetOption


def doctor(
    config: ConfigOption = None,
    assignments: SetOption = None,
    state: StateOption = None,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send a message to the webhook.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine disk, clock, rights, broker, feed and alerts; say what to do. Exit 1 if one fails.

    Example: mia doctor --config paper --set ibkr.port=4002 --set ibkr.account=DU1234567
    """
    from mia.config.settings import load_settings
    from mia.errors import ConfigError, UsageError
    from mia.monitoring.health.doctor import examine
    from mia.monitoring.health.doctor_links import Finding, Verdict
    from mia.monitoring.state_choice import chosen_state
    from mia.redaction import Redactor

    try:
        loaded = load_settings(config, assignments or ())
    except ConfigError as error:
        findings = [Finding("settings", Verdict.FAIL, str(error), "mia config show")]
    else:
        try:
            folder = chosen_state(loaded, state)
        except UsageError:
            # Without an account there is none yet: the disk is looked at where it would be.
            folder = Path(loaded.settings.live.state_dir)
        findings = examine(loaded, folder, send_test=send_test, wall=time.time_ns)
        redact = Redactor(loaded.secrets)
        findings = [Finding(f.name, f.verdict, redact(f.text), redact(f.cure)) for f in findings]
    worst = max(finding.verdict for finding in findings)
    if as_json:
        plain = [asdict(f) | {"verdict": f.verdict.name.lower()} for f in findings]
        print(json.dumps({"verdict": worst.name.lower(), "findings": plain}, indent=1))
    else:
        for f in findings:
            cure = f"  -> {f.cure}" if f.cure else ""
            print(f"{f.verdict.name.lower():5} {f.name:9} {f.text}{cure}")
    raise typer.Exit(1 if worst is Verdict.FAIL else 0)
