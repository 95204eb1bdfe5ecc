"""The page of metrics, read by Prometheus' own parser, over plaintext and mutual TLS."""

from __future__ import annotations

import datetime
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tfplus.errors import RemoteError, UsageError
from tfplus.wire import cert_changes, certs
from tfplus.wire.tls import TlsFiles
from tfplus_agent.server.metrics import MetricsPage
from tfplus_agent.telemetry.sensors.registry import SENSORS

ROOT = Path(__file__).resolve().parents[3]


def device_tree(root: Path) -> Path:
    files = {
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone0/temp": "48199",
        "sys/class/thermal/thermal_zone1/type": 'odd "name"\\',
        "sys/class/thermal/thermal_zone1/temp": "20000",
        "sys/class/powercap/intel-rapl:0/name": "package-0",
        "sys/class/powercap/intel-rapl:0/energy_uj": "240422366267",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., MetricsPage]]:
    pages: list[MetricsPage] = []

    def start(address: str = "127.0.0.1:0", **options: Any) -> MetricsPage:
        root = device_tree(tmp_path / "root")
        page = MetricsPage(address, SENSORS, lambda: {"trained_steps": 7.0}, root=root, **options)
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()


def scraped(text: str) -> dict[tuple[str, str], float]:
    """(name of a sample, its instance or quantity) → value."""
    return {
        (s.name, next(iter(s.labels.values()), "")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def get(address: str, context: ssl.SSLContext | None = None) -> str:
    scheme = "http" if context is None else "https"
    with urllib.request.urlopen(  # noqa: S310
        f"{scheme}://{address}/metrics", timeout=20, context=context
    ) as answer:
        return answer.read().decode()


def test_values_counters_labels_and_what_is_absent(serve: Callable[..., MetricsPage]) -> None:
    told = scraped(get(serve().address))
    assert told["tfplus_temperature_celsius", "cpu-thermal"] == 48.199
    assert told["tfplus_temperature_celsius", 'odd "name"\\'] == 20
    assert told["tfplus_package_energy_joules_total", "package-0-0"] == 240422.366267
    assert told["tfplus_trained_steps", ""] == 7
    assert told["tfplus_sensor_present", "temperature_celsius"] == 1
    assert told["tfplus_sensor_present", "battery_charge_percent"] == 0
    assert not any(name.startswith("tfplus_battery") for name, _ in told)


def test_a_taken_port_and_a_place_that_others_could_read(serve: Callable[..., MetricsPage]) -> None:
    taken = serve().address
    with pytest.raises(RemoteError, match=f"metrics cannot be served on {taken}"):
        serve(taken)
    with pytest.raises(UsageError, match="not loopback"):
        serve("0.0.0.0:0")


def test_mutual_tls(serve: Callable[..., MetricsPage], tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    certs.create_ca(tmp_path / "ca", now)
    for name in ("pi", "desk"):
        certs.issue(name, ["localhost"], tmp_path / "ca", tmp_path / name, now)
    page = serve(tls=TlsFiles.load(tmp_path / "pi"))
    address = f"localhost:{page.address.rpartition(':')[2]}"
    ours = TlsFiles.load(tmp_path / "desk")
    known = ssl.create_default_context(cafile=ours.ca)
    with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
        get(address, known)
    known.load_cert_chain(ours.cert, ours.key)
    assert scraped(get(address, known))["tfplus_trained_steps", ""] == 7

    _, listed = cert_changes.revoke(ours.cert, tmp_path / "ca", now)
    (tmp_path / "pi" / listed.name).write_bytes(listed.read_bytes())
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(address, known)
    assert refused.value.code == 403
    assert b"the certificate of 'desk' was revoked" in refused.value.read()
    refused.value.close()
    (tmp_path / "pi" / listed.name).unlink()
    assert scraped(get(address, known))["tfplus_trained_steps", ""] == 7


def test_an_agent_serves_it(start_agent: Callable[..., Any]) -> None:
    agent = start_agent(metrics="127.0.0.1:0")
    told = scraped(get(agent.ready["metrics"]))
    assert told["tfplus_trained_steps", ""] == 0
    assert told["tfplus_process_resident_bytes", ""] > 1e7


def test_the_dashboard_asks_for_what_is_served() -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))
    asked = set(re.findall(r"tfplus_\w+", json.dumps(dashboard["panels"])))
    quantities = {q for sensor in SENSORS for q in sensor.quantities}
    known = {f"tfplus_{q}{end}" for q in quantities for end in ("", "_total")}
    assert asked - known == {"tfplus_trained_steps"}
