"""A page of metrics for Prometheus: what the sensors tell, and how far training has come.

Served by the Prometheus client library, over mutual TLS where the agent has certificates. A value
that is absent is left out and never zero; `tfplus_sensor_present` says which are. A revoked
certificate is refused with 403.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tfplus.errors import MissingExtraError, NotPermittedError, RemoteError
from tfplus.wire import tls as wire_tls
from tfplus.wire.tls import TlsFiles
from tfplus_agent.server.callers.permissions import Permissions
from tfplus_agent.telemetry.sensor import Reading, Sensor

try:
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise MissingExtraError.of("tfplus agent --metrics", "metrics") from error

_CALLER_TIMEOUT_S = 10.0
# Quantities that only grow, as the kernel counts them.
_COUNTERS = frozenset(
    {
        "package_energy_joules",
        "pressure_stalled_seconds",
        "process_processor_seconds",
        "processor_busy_seconds",
        "processor_idle_seconds",
        "throttle_events_count",
    }
)


def families(readings: Sequence[Reading], numbers: Mapping[str, float]) -> Iterator[Metric]:
    """Makes metrics of readings: one family a quantity, a label for the instance.

    Args:
      readings: of all sensors.
      numbers: further gauges by name, without the prefix.
    """
    present = GaugeMetricFamily(
        "tfplus_sensor_present", "Whether the quantity could be read", labels=["quantity"]
    )
    for quantity in dict.fromkeys(r.quantity for r in readings):
        told = [r for r in readings if r.quantity == quantity and r.value is not None]
        present.add_metric([quantity], float(bool(told)))
        if not told:
            continue
        kind = CounterMetricFamily if quantity in _COUNTERS else GaugeMetricFamily
        family = kind(f"tfplus_{quantity}", f"From {told[0].source}", labels=["instance"])
        for reading in told:
            family.add_metric([reading.instance], reading.value or 0.0)
        yield family
    yield present
    for name, value in numbers.items():
        yield GaugeMetricFamily(f"tfplus_{name}", name.replace("_", " "), value=value)


class _Readings(Collector):
    def __init__(
        self, sensors: Sequence[Sensor], root: Path, numbers: Callable[[], Mapping[str, float]]
    ) -> None:
        self._sensors = sensors
        self._root = root
        self._numbers = numbers
        # Scrapes come from threads of their own; one walk over the sensors at a time is enough.
        self._one_at_a_time = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Reads everything now."""
        with self._one_at_a_time:
            readings = [r for sensor in self._sensors for r in sensor.read(self._root)]
        return families(readings, self._numbers())


def _checked(base: Any, permissions: Permissions) -> Any:
    class Checked(base):
        """Answers whom the permissions let."""

        # A caller that sends nothing holds a thread only for so long.
        timeout = _CALLER_TIMEOUT_S

        def parse_request(self) -> bool:
            """Reads what is asked for, and refuses a certificate that was revoked."""
            if not super().parse_request():
                return False
            try:
                permissions.check("/metrics", _auth(self.connection))
            except NotPermittedError as error:
                self.send_error(HTTPStatus.FORBIDDEN, explain=str(error))
                return False
            return True

    return Checked


def _auth(connection: Any) -> dict[str, list[bytes]]:
    """What gRPC would say of a caller's certificate; nothing in plaintext."""
    if not isinstance(connection, ssl.SSLSocket):
        return {}
    told: Any = connection.getpeercert() or {}
    pem = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
    names = [v for part in told.get("subject", ()) for k, v in part if k == "commonName"]
    return {
        "x509_pem_cert": [pem.encode()],
        "x509_common_name": [name.encode() for name in names],
        "x509_subject_alternative_name": [v.encode() for _, v in told.get("subjectAltName", ())],
    }


class MetricsPage:
    """Serves `/metrics` until it is closed; `address` is where.

    Args:
      address: `HOST:PORT`; port 0 takes a free one.
      sensors: what is read whenever somebody asks.
      numbers: gives further gauges by name.
      tls: own certificate: who asks must show one of the same authority; None for plaintext.
      insecure: plaintext also beyond loopback.
      root: the tree that sensors read.

    Raises:
      RemoteError: the port is taken.
      UsageError: the address is malformed, or plaintext would leave this machine.
    """

    def __init__(
        self,
        address: str,
        sensors: Sequence[Sensor],
        numbers: Callable[[], Mapping[str, float]],
        tls: TlsFiles | None = None,
        insecure: bool = False,
        root: Path = Path("/"),
    ) -> None:
        host, port = wire_tls.split_address(address)
        if tls is None:
            wire_tls.require_loopback_or_insecure(host, insecure)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Readings(sensors, root, numbers))
        try:
            self._server, self._thread = start_http_server(
                port,
                host,
                registry,
                certfile=str(tls.cert) if tls else None,
                keyfile=str(tls.key) if tls else None,
                client_cafile=str(tls.ca) if tls else None,
                client_auth_required=tls is not None,
            )
        except OSError as error:
            raise RemoteError(
                f"metrics cannot be served on {address}: {error.strerror}: choose another with "
                "--metrics, or port 0 for a free one"
            ) from None
        permissions = Permissions(tls.revoked if tls else None)
        self._server.RequestHandlerClass = _checked(self._server.RequestHandlerClass, permissions)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self._server.server_port}"

    def close(self) -> None:
        """Ends the page."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
