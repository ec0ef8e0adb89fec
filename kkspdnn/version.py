"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The version of kkspdnn, or "not installed" if it runs from a source tree."""
    try:
        return version("kkspdnn")
    except PackageNotFoundError:
        return "not installed"
