import os

import pytest

import rkvs

# Larger sizes and longer runs on demand; 1 is what every change runs.
SCALE = int(os.environ.get("RKVS_TEST_SCALE", "1"))

# For tests with many threads, on machines that have other things to do as well.
PATIENT = 60


@pytest.fixture
def store():
    with rkvs.open() as manager:
        yield manager


@pytest.fixture
def ns(store):
    return store.create_namespace("test", lock_timeout=PATIENT)
