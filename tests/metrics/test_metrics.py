"""The metrics text, read by the parser that Prometheus' own Python client has."""

import subprocess
import sys
import tempfile

from prometheus_client.parser import text_string_to_metric_families

NAMES = ["plain", 'quote" backslash\\ and \u00e4']


def samples(families, name, **labels):
    for family in families:
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample


def value(families, name, **labels):
    (sample,) = samples(families, name, **labels)
    return sample.value


def main():
    with tempfile.TemporaryDirectory() as directory:
        text = subprocess.run(
            [sys.argv[1], directory], check=True, capture_output=True
        ).stdout.decode("utf-8")
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a family twice"
    assert all(family.documentation for family in families)
    assert value(families, "rkvs_namespaces") == 2
    for name in NAMES:
        expected = {
            "rkvs_keys": 9,
            "rkvs_value_bytes": 45,
            "rkvs_shards": 16,
            "rkvs_sets_total": 10,
            "rkvs_deletes_total": 1,
            "rkvs_hits_total": 12,
            "rkvs_misses_total": 6,
            "rkvs_rejected_total": 2,
            "rkvs_expired_total": 0,
            "rkvs_timeouts_total": 0,
        }
        for metric, number in expected.items():
            found = value(families, metric, namespace=name)
            assert found == number, f"{metric} of {name}: {found}, not {number}"
        assert value(families, "rkvs_memory_bytes", namespace=name) > 45
        for operation, count in {"read": 15, "write": 13, "batch": 1, "scan": 0}.items():
            check_histogram(
                families, "rkvs_operation_seconds", count, namespace=name, operation=operation
            )
    for phase in ("cut", "write", "commit"):
        check_histogram(families, "rkvs_save_phase_seconds", 1, phase=phase)
    print("metrics are as expected")


def check_histogram(families, name, count, **labels):
    buckets = list(samples(families, name + "_bucket", **labels))
    bounds = [float(sample.labels["le"]) for sample in buckets]
    counts = [sample.value for sample in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf"), bounds
    assert counts == sorted(counts), counts
    assert counts[-1] == value(families, name + "_count", **labels) == count, counts
    total = value(families, name + "_sum", **labels)
    assert (total > 0) == (count > 0), total


main()
