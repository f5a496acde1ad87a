"""What is shipped for Prometheus and Grafana works with a real Prometheus."""

import itertools
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from frame_cases import ShownFrames, frame, story
from prometheus_client import CollectorRegistry, generate_latest
from trading_cases import a_closed_trade

from mia.core.base_types import Strategy
from mia.data.account_history import trade_to_dict
from mia.data.journal import Journal
from mia.data.state_files import JOURNAL
from mia.monitoring.account_metrics import AccountCollector
from mia.monitoring.metrics import FrameCollector
from mia.monitoring.metrics_server import Door, metrics_server

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "rules.yml"
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="no prometheus here: Debian has it by that name"
)


def dashboard_expressions() -> list[str]:
    panels = json.loads((DEPLOY / "grafana" / "mia.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def promtool(*words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROMTOOL, *words], check=False, input=given, capture_output=True, text=True
    )


@needs_prometheus
def test_the_rules_are_rules() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stderr
    done = promtool("check", "config", DEPLOY / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_the_exposition_is_as_prometheus_wants_it(tmp_path) -> None:
    registry = CollectorRegistry(auto_describe=False)
    for collector in (FrameCollector(tmp_path), AccountCollector(tmp_path)):
        registry.register(collector)
    with ShownFrames(tmp_path) as trader:
        trader.show(frame())
        done = promtool("check", "metrics", given=generate_latest(registry).decode())
    assert done.returncode == 0, done.stdout + done.stderr


RULE_CASES = f"""
rule_files: ["{RULES}"]
evaluation_interval: 5s
tests:
  - interval: 5s
    input_series:
      - {{series: mia_up, values: "1x12 0x12"}}
      - {{series: mia_position_protected, values: "1x6 0x18"}}
      - {{series: mia_trading_state, values: "0x12 2x12"}}
      - {{series: mia_worst_pnl_usd, values: "-799x12 -801x12"}}
      - {{series: mia_daily_loss_limit_usd, values: "1000x24"}}
      - {{series: mia_ready, values: "1x24"}}
      - {{series: mia_feed_age_seconds, values: "1x12 11x12"}}
    alert_rule_test:
      - {{eval_time: 25s, alertname: MiaNakedPosition}}
      - eval_time: 45s
        alertname: MiaNakedPosition
        exp_alerts:
          - exp_labels: {{severity: critical}}
            exp_annotations:
              summary: A position has no stop of its size at the broker.
              action: Look at the broker; `mia kill flatten` closes it.
      - {{eval_time: 55s, alertname: MiaTraderDown}}
      - eval_time: 90s
        alertname: MiaTraderDown
        exp_alerts:
          - exp_labels: {{severity: critical}}
            exp_annotations:
              summary: The trader's loop does not turn.
              action: Look at the broker for an open position; `mia health` says more.
      - {{eval_time: 55s, alertname: MiaLossNearLimit}}
      - eval_time: 70s
        alertname: MiaLossNearLimit
        exp_alerts:
          - exp_labels: {{severity: warning}}
            exp_annotations:
              summary: The day's loss with every stop hit is above 80 % of its limit.
      - {{eval_time: 55s, alertname: MiaFeedStale}}
      - eval_time: 80s
        alertname: MiaFeedStale
        exp_alerts:
          - exp_labels: {{severity: critical}}
            exp_annotations:
              summary: Nothing was heard of the market for more than 10 s.
"""


@needs_prometheus
def test_an_alert_fires_when_it_should_and_not_before(tmp_path) -> None:
    cases = tmp_path / "cases.yml"
    cases.write_text(RULE_CASES)
    done = promtool("test", "rules", cases)
    assert done.returncode == 0, done.stdout + done.stderr


class Scraped:
    """A Prometheus that scrapes a metrics server with the files that are shipped."""

    def __init__(self, folder: Path, port: int) -> None:
        config = (DEPLOY / "prometheus.yml").read_text()
        assert "127.0.0.1:9464" in config
        config = config.replace("127.0.0.1:9464", f"127.0.0.1:{port}").replace("5s", "1s")
        (folder / "prometheus.yml").write_text(config)
        shutil.copy(RULES, folder)
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                "--web.listen-address=127.0.0.1:0",
            ],
            stderr=self.log,
        )
        self.base = f"http://127.0.0.1:{self._port(folder / 'log')}"

    def _port(self, log: Path) -> int:
        for _ in range(300):
            for line in log.read_text().splitlines():
                if "Listening on" in line:
                    return int(line.rpartition(":")[2].strip(' "'))
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    def query(self, expression: str) -> list[dict[str, object]]:
        words = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.base}/api/v1/query?{words}", timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()


def play(trader: ShownFrames, stop: threading.Event) -> None:
    """Show a session again and again, with counts that grow as those of a trader do."""
    for k, shown in enumerate(itertools.cycle(story(300))):
        if stop.wait(0.05):
            return
        shown.counters = {name: count + k for name, count in shown.counters.items()}
        shown.feed.ticks += 100 * k
        for stage in shown.stages.values():
            stage.counts = [count + k for count in stage.counts]
        trader.show(shown)


@pytest.mark.slow
@needs_prometheus
def test_every_panel_of_the_dashboard_has_data(tmp_path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with Journal.open(state / JOURNAL, clock=lambda: 1) as journal:
        for strategy in Strategy:
            trade = a_closed_trade(50.0, strategy=strategy)
            journal.append("cycle", {"closed_trade": trade_to_dict(trade)}, ts=1)
    stop = threading.Event()
    door = Door(port=0)
    collectors = (FrameCollector(state), AccountCollector(state))
    with ShownFrames(state) as trader, metrics_server(door, *collectors) as server:
        trader.show(frame())
        threads = [
            threading.Thread(target=play, args=(trader, stop)),
            threading.Thread(target=server.serve_forever),
        ]
        for thread in threads:
            thread.start()
        prometheus = Scraped(tmp_path, server.server_port)
        try:
            missing = expressions = dashboard_expressions()
            deadline = time.monotonic() + 60
            while missing and time.monotonic() < deadline:
                time.sleep(1)
                missing = [wanted for wanted in missing if not prometheus.query(wanted)]
            assert len(expressions) > 30
            assert missing == []
            assert prometheus.query('up{job="mia"}')[0]["value"][1] == "1"
        finally:
            prometheus.close()
            stop.set()
            server.shutdown()
            for thread in threads:
                thread.join()


def test_units_and_provisioning_name_what_there_is() -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    assert "rules.yml" in text
    uid = json.loads((DEPLOY / "grafana" / "mia.json").read_text())["panels"][1]["datasource"][
        "uid"
    ]
    sources = DEPLOY / "grafana" / "provisioning" / "datasources" / "mia.yml"
    assert f"uid: {uid}" in sources.read_text()
