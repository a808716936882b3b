"""The wheel: pure Python with one shared library in it, so py3-none-<platform>.

Run by build_wheel.py, which lays the library beside the package and says what to call the result.
"""

import os

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.dist import Distribution


class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", os.environ["RKVS_WHEEL_PLATFORM"]


class WithLibrary(Distribution):
    """Not pure: the library belongs to one kind of machine."""

    def has_ext_modules(self):
        return True


setup(
    version=os.environ["RKVS_WHEEL_VERSION"],
    cmdclass={"bdist_wheel": Wheel},
    distclass=WithLibrary,
)
