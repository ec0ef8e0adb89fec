"""A script that downloads a source distribution with pip, without running its build.

`pip download` also installs and runs the build requirements of a source distribution, for its
metadata. This script uses pip's own session and index client, and therefore pip's configuration:
indexes, find-links, proxies, certificates, credentials and timeouts. It imports only pip and the
standard library.

usage: python -c "$(cat pip_fetch.py)" NAME VERSION SHA256 FILE
"""

import hashlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

_RETRIES, _TIMEOUT = 2, 10.0
"""Used instead of pip's defaults, 5 retries of 15 s, which are long if there is no network."""


class _FailureLog(logging.Handler):
    """Collects pip's messages about pages that it cannot read and hosts that it does not trust."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        is_failure = record.levelno >= logging.WARNING or text.startswith("Could not fetch URL")
        if is_failure and text not in self.messages:
            self.messages.append(text.removesuffix(" - skipping"))


def fetch(name: str, version: str, sha256: str, target: str) -> None:
    """Write the archive with this hash to `target`; exit with a one-line error if there is none."""
    try:
        from pip._internal.commands import create_command
    except ImportError as error:
        sys.exit(f"ERROR: {error}")
    failure_log = _FailureLog()
    logger = logging.getLogger("pip")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(failure_log)

    command: Any = create_command("download")
    options, _ = command.parse_args(["--no-input", "--no-binary", name, name])
    if options.retries == 5:
        options.retries = _RETRIES
    if options.timeout == 15:
        options.timeout = _TIMEOUT
    failures: list[str] = []
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session, ignore_requires_python=True)
        for link in _archives(finder, name, version):
            try:
                content = _download(session, link)
            except Exception as error:  # any error of the network
                failures.append(f"{link}: {type(error).__name__}: {error}")
                continue
            digest = hashlib.sha256(content).hexdigest()
            if digest == sha256:
                with open(target, "wb") as file:
                    file.write(content)
                return
            failures.append(f"{link}: its SHA-256 is {digest}, not {sha256}")
    reasons = failures or failure_log.messages or ["no index or folder of pip has it"]
    sys.exit(f"ERROR: {' '.join('; '.join(reasons).split())}")


def _archives(finder: Any, name: str, version: str) -> Iterator[Any]:
    """Yield the links to the source distribution, in pip's order."""
    for candidate in finder.find_all_candidates(name):
        if str(candidate.version) == version and candidate.link.filename.endswith(".tar.gz"):
            yield candidate.link


def _download(session: Any, link: Any) -> bytes:
    # As in pip: the server must not compress the archive once more.
    response = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"})
    response.raise_for_status()
    content: bytes = response.content
    return content


if __name__ == "__main__":
    fetch(*sys.argv[1:])
