"""One declared service as a process of its own, for containers: `python -m orchestration.services.run NAME [--check]`.

Here: the same command, environment and health check as under the supervisor, so that both profiles run one list. Not here:
restarting (the container engine's business).
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Sequence

from ingestion.errors import VigieError, WrongUse
from orchestration.services import declared
from orchestration.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Become the service `NAME`, or with `--check` return 0 if it is healthy, else 1.

    Raises:
        WrongUse: there is no such service in this profile.
        VigieError: the settings are wrong.
    """
    settings = Settings.load()
    services = {service.name: service for service in declared.services(settings)}
    names = [word for word in arguments if word != "--check"]
    if len(names) != 1 or names[0] not in services:
        raise WrongUse(f"unknown service {' '.join(names)!r}", remedy=f"services of this profile: {', '.join(services)}")
    service = services[names[0]]
    if "--check" not in arguments:
        environment = os.environ | settings.environment() | service.environment
        os.execve(service.command[0], service.command, environment)  # noqa: S606 - no shell is wanted
    # When it started is not known here; the engine asks again and again, and only the latest state matters.
    problem = service.check(dt.datetime.fromtimestamp(0, tz=dt.UTC))
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
    return 0 if problem is None else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except VigieError as error:
        sys.exit(f"error: {error}")
