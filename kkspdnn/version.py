"""The version of kkspdnn."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version of kkspdnn."""
    try:
        return version("kkspdnn")
    except PackageNotFoundError:
        return "not installed"
