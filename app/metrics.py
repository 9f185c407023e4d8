"""Prometheus metrics on a separate port: requests by route, the age of the oldest unsealed audit event, and the number
of mails about alerts that are due. No label ever contains an id."""

import os
import tempfile
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app import clock
from app.access import store as access
from app.alerts import store as alerts
from app.audit import store as audit
from app.settings import Settings
from app.storage import NO_CLINIC, Database


def serve(settings: Settings, host: str, workers: int) -> None:
    """Serves the metrics until the process ends. Workers write their counts to a folder that this one reads."""
    registry = REGISTRY
    if workers > 1:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="holdfast-metrics-")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Stored(Database(settings.database_url, settings.secret)))
    start_http_server(settings.metrics_port, host, registry)


class _Stored(Collector):
    """Metrics that are read from the database whenever the metrics are requested."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterable[Metric]:
        now = clock.now()
        oldest = [
            self._database.reading(clinic_id, lambda db, c=clinic_id: audit.oldest_unsealed_at(db, c))  # type: ignore[misc]
            for clinic_id in self._database.reading(NO_CLINIC, access.clinic_ids)
        ]
        age = max(((now - at).total_seconds() for at in oldest if at is not None), default=0.0)
        overdue = self._database.reading(NO_CLINIC, lambda db: alerts.overdue_notices(db, now))
        yield GaugeMetricFamily(
            "holdfast_audit_unsealed_age_seconds", "Age of the oldest audit event that no seal covers", age
        )
        yield GaugeMetricFamily("holdfast_alert_notices_due", "Notices of urgent alerts that are due", overdue)
