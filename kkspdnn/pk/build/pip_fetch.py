"""A program: fetch one source distribution as pip would, but only fetch it.

`pip download` also runs a source distribution's build requirements to ask for its metadata. This
uses pip's own session and index client, and so its configuration: indexes, find-links, proxies,
certificates, credentials, time limits. It imports nothing but pip and the standard library.

usage: python -c "$(cat pip_fetch.py)" NAME VERSION SHA256 FILE
"""

import hashlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

_RETRIES, _TIMEOUT = 2, 10.0
"""Where pip is not configured otherwise: its own 5 times 15 s are long for a missing network."""


class _Reasons(logging.Handler):
    """Keeps what pip says of indexes that it passes over: pages that it cannot read, and hosts that
    it does not trust."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        says_it = record.levelno >= logging.WARNING or text.startswith("Could not fetch URL")
        if says_it and text not in self.said:
            self.said.append(text.removesuffix(" - skipping"))


def fetch(name: str, version: str, sha256: str, target: str) -> None:
    """Write the archive with this hash to `target`; SystemExit with one line if there is none."""
    try:
        from pip._internal.commands import create_command
    except ImportError as error:
        sys.exit(f"ERROR: {error}")
    reasons = _Reasons()
    logger = logging.getLogger("pip")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(reasons)

    command: Any = create_command("download")
    options, _ = command.parse_args(["--no-input", "--no-binary", name, name])
    if options.retries == 5:
        options.retries = _RETRIES
    if options.timeout == 15:
        options.timeout = _TIMEOUT
    found: list[str] = []
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session, ignore_requires_python=True)
        for link in _archives(finder, name, version):
            try:
                content = _content(session, link)
            except Exception as error:  # whatever a network does
                found.append(f"{link}: {type(error).__name__}: {error}")
                continue
            digest = hashlib.sha256(content).hexdigest()
            if digest == sha256:
                with open(target, "wb") as file:
                    file.write(content)
                return
            found.append(f"{link}: its SHA-256 is {digest}, not {sha256}")
    why = found or reasons.said or ["no index or folder that pip knows has it"]
    sys.exit(f"ERROR: {' '.join('; '.join(why).split())}")


def _archives(finder: Any, name: str, version: str) -> Iterator[Any]:
    """Links to the source distribution, in pip's order."""
    for candidate in finder.find_all_candidates(name):
        if str(candidate.version) == version and candidate.link.filename.endswith(".tar.gz"):
            yield candidate.link


def _content(session: Any, link: Any) -> bytes:
    # As pip asks: the bytes as they are, not unpacked on the way.
    answer = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"})
    answer.raise_for_status()
    content: bytes = answer.content
    return content


if __name__ == "__main__":
    fetch(*sys.argv[1:])
