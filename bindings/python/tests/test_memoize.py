import asyncio
import threading
import time

import pytest

import rkvs


def test_a_result_is_computed_once_for_equal_arguments(ns):
    calls = []

    @rkvs.memoize(ns)
    def add(a, b=1):
        calls.append((a, b))
        return {"sum": a + b}

    assert add(1) == add(1.0) == {"sum": 2} and len(calls) == 1
    assert add(1, b=2) == add(1, b=2) and len(calls) == 2
    text = "".join(["x", "y"])
    for argument in (text, "xy"):
        with pytest.raises(TypeError):
            add(argument)
    assert add.__wrapped__(1) == {"sum": 2} and add.__name__ == "add"
    assert add.key(1) in ns and add.forget(1) and add.key(1) not in ns
    assert add(1) == {"sum": 2} and len(calls) == 6


def test_equal_keys_for_equal_arguments_whoever_else_refers_to_them(ns):
    @rkvs.memoize(ns)
    def function(*args):
        return args

    text = "some text"
    assert function.key(text, text) == function.key("some " + "text"[:4], "".join(list(text)))
    assert function.key((1, 2)) != function.key(1, 2)


def test_types_can_be_told_apart(ns):
    @rkvs.memoize(ns, typed=True, name="typed")
    def kind(value):
        return type(value).__name__

    assert [kind(1), kind(1.0), kind(True), kind("1")] == ["int", "float", "bool", "str"]
    assert kind.key(1).startswith(b"typed\0")


def test_results_expire(ns):
    calls = []

    @rkvs.memoize(ns, expire=0.05)
    def now():
        calls.append(1)
        return None

    now(), now()
    assert len(calls) == 1 and ns.ttl(now.key()) is not None
    time.sleep(0.1)
    now()
    assert len(calls) == 2


def test_an_exception_is_not_kept(ns):
    calls = []

    @rkvs.memoize(ns)
    def fail():
        calls.append(1)
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            fail()
    assert len(calls) == 2 and len(ns) == 0


def test_of_many_threads_one_computes(ns):
    calls = []

    @rkvs.memoize(ns, dumps=str.encode, loads=bytes.decode)
    def slow(x):
        calls.append(x)
        time.sleep(0.05)
        return x * 2

    results = []
    threads = [
        threading.Thread(target=lambda x=x: results.append(slow(x))) for x in ["a", "b"] * 10
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == ["a", "b"] and sorted(results) == ["aa"] * 10 + ["bb"] * 10
    assert ns[slow.key("a")] == b"aa"


def test_a_function_may_call_itself(ns):
    @rkvs.memoize(ns)
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(50) == 12586269025 and len(ns) == 51


def test_arguments_of_any_size(ns):
    calls = []

    @rkvs.memoize(ns)
    def size(text):
        calls.append(1)
        return len(text)

    large = "x" * 2_000_000
    assert size(large) == size(large) == 2_000_000 and len(calls) == 1
    assert size(large[:-1]) == 1_999_999 and size("y" * 2_000_000) == 2_000_000
    assert len(size.key(large)) < 200 and size.key(large).startswith(size.key("")[:20])
    assert len(calls) == 3


def test_a_result_without_a_place_is_returned_all_the_same(store):
    full = store.create_namespace("full", max_keys=1, max_value_size=100)

    @rkvs.memoize(full)
    def repeat(text, times):
        return text * times

    @rkvs.memoize(full.aio, name="async")
    async def repeat_later(text, times):
        return text * times

    assert repeat("a", 1000) == "a" * 1000 and len(full) == 0
    assert repeat("a", 1) == "a" and repeat("b", 2) == "bb" and len(full) == 1
    assert asyncio.run(repeat_later("a", 1000)) == "a" * 1000
    assert asyncio.run(repeat_later("c", 3)) == "ccc" and len(full) == 1


def test_what_makes_no_sense_is_said_when_decorating(ns):
    for wrong in ({}, None, lambda: 1):
        with pytest.raises(TypeError, match="takes a namespace"):
            rkvs.memoize(wrong)
    with pytest.raises(rkvs.InvalidArgumentError):
        rkvs.memoize(ns, expire=0)
