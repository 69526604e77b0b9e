"""Reads /api/v4/prometheus with the parser of Prometheus' client library and holds it against the rules.

usage: prometheus_rules.py URL USER:PASSWORD FILE

Every family has help and a type, and samples unless they have labels, counters end in _total and gauges do not, units are base units, no sample comes
twice, and no counter is below its value in FILE, where the counters of this look are kept for the next.
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

# NanoMQ calls them so.
COUNTERS_OF_NANOMQ = ("nanomq_messages_received", "nanomq_messages_sent", "nanomq_messages_dropped")
# A sample for each kind that was counted, none before.
WITH_LABELS = ("nanomq_protocol_errors",)
# What promtool's linter asks to be written in base units.
NO_BASE_UNITS = ("_milliseconds", "_microseconds", "_ms", "_minutes", "_hours", "_kilobytes", "_kb", "_mb", "_percent", "_bits")


def fail(*told):
    sys.exit(" ".join(str(part) for part in told))


def look(url, user):
    request = urllib.request.Request(url, headers={"Authorization": "Basic " + base64.b64encode(user.encode()).decode()})
    with urllib.request.urlopen(request, timeout=20) as answer:
        kind = answer.headers["Content-Type"]
        if not kind.startswith("text/plain"):
            fail("Content-Type", kind)
        text = answer.read().decode("utf-8")
    samples, counters = {}, {}
    for family in text_string_to_metric_families(text):
        if not family.documentation:
            fail(family.name, "has no help")
        if family.type not in ("counter", "gauge"):
            fail(family.name, "is of type", family.type)
        if not family.samples and family.name not in WITH_LABELS:
            fail(family.name, "has no samples")
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in samples:
                fail(key, "comes twice")
            samples[key] = sample.value
            if family.type == "counter":
                if not sample.name.endswith("_total") and sample.name not in COUNTERS_OF_NANOMQ:
                    fail(sample.name, "is a counter and does not end in _total")
                counters[key] = sample.value
            elif sample.name.endswith("_total"):
                fail(sample.name, "is a gauge and ends in _total")
            if sample.name.removesuffix("_total").endswith(NO_BASE_UNITS):
                fail(sample.name, "is not in base units")
    if not samples:
        fail("no samples")
    return samples, counters


def main():
    url, user, file = sys.argv[1:]
    before = json.loads(Path(file).read_text()) if Path(file).exists() else {}
    samples, counters = look(url, user)
    counters = {str(key): value for key, value in counters.items()}
    for key, value in before.items():
        if counters.get(key, -1) < value:
            fail(key, "went from", value, "to", counters.get(key))
    Path(file).write_text(json.dumps(counters))
    grown = sum(value > before.get(key, 0) for key, value in counters.items())
    print(len(samples), "samples,", grown, "counters have grown")


main()
