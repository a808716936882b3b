"""The examples in docstrings, and those of the README."""

import doctest
import importlib
import pathlib
import pkgutil

import pytest

import rkvs

MODULES = ["rkvs"] + sorted(
    module.name for module in pkgutil.iter_modules(rkvs.__path__, "rkvs.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = [
        example
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) > 40


def test_examples_of_the_readme(tmp_path, monkeypatch):
    readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("the README is not beside the tests")
    monkeypatch.chdir(tmp_path)
    failed, attempted = doctest.testfile(str(readme), module_relative=False)
    assert failed == 0 and attempted > 10
