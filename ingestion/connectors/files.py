"""Files: a path, a folder or a glob; local, on S3 or over SFTP.

Here: the choice by address, local files, S3. Not here: SFTP (`sftp`), opening them (`ingestion.formats`).

Remote files are fetched at each run: which of them are new is decided by their content (the digest in the ledger), because
modification times lie (a folder restored or synchronised keeps old ones).
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ingestion.connectors.model import SECRETS_REMEDY, Deadline, Fetched, FetchFailed, Limits, Secrets, check_size, target_of
from ingestion.errors import WrongUse


def fetch_files(path: str, secret: str | None, secrets: Secrets, workdir: Path, limits: Limits) -> Iterator[Fetched]:
    """Yield the files that a path, folder or glob names, in the order of their names.

    Raises:
        WrongUse: nothing is there, or the address cannot be.
        FetchFailed: the server refuses or fails.
    """
    scheme = urlsplit(path).scheme if "://" in path else ""
    match scheme:
        case "" | "file":
            yield from _local(path.removeprefix("file://"))
        case "s3":
            yield from _s3(path, _access(secret, secrets), workdir, limits)
        case "sftp":
            from ingestion.connectors.sftp import fetch_sftp

            yield from fetch_sftp(path, _access(secret, secrets), workdir, limits)
        case _:
            raise WrongUse(f"{scheme}:// addresses are not read as files", remedy="use a local path, s3://, sftp://, or a rest connector")


def _access(secret: str | None, secrets: Secrets) -> dict[str, str]:
    if secret is None:
        return {}
    try:
        access = json.loads(secrets(secret))
    except json.JSONDecodeError as error:
        raise WrongUse(f"secret {secret}: not a JSON object", remedy=SECRETS_REMEDY) from error
    if not isinstance(access, dict) or not all(isinstance(v, str | int) for v in access.values()):
        raise WrongUse(f"secret {secret}: not a JSON object of texts", remedy=SECRETS_REMEDY)
    return {k: str(v) for k, v in access.items()}


def _local(path: str) -> Iterator[Fetched]:
    plain = Path(path).expanduser()
    if plain.is_file():
        found = [plain]
    elif plain.is_dir():
        found = [p for p in sorted(plain.rglob("*")) if p.is_file() and not _is_hidden(p.relative_to(plain))]
    else:
        # `Path.glob` takes no absolute pattern.
        found = [Path(p) for p in sorted(glob.glob(str(plain), recursive=True)) if Path(p).is_file()]  # noqa: PTH207 - see above
    if not found:
        raise WrongUse(f"{path}: there is no such file", remedy="check the path (a folder and a glob such as data/*.csv are fine too)")
    for file in found:
        yield Fetched(file, str(file))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _s3(path: str, access: dict[str, str], workdir: Path, limits: Limits) -> Iterator[Fetched]:
    import botocore.exceptions
    import fsspec

    endpoint = access.get("endpoint_url")
    deadline = Deadline(path, limits.seconds)
    store = fsspec.filesystem(
        "s3",
        anon="key" not in access,
        key=access.get("key"),
        secret=access.get("secret"),
        client_kwargs={k: v for k, v in {"endpoint_url": endpoint, "region_name": access.get("region")}.items() if v},
        config_kwargs={"connect_timeout": limits.timeout_seconds, "read_timeout": limits.timeout_seconds},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    pattern = path.removeprefix("s3://")
    try:
        if glob.has_magic(pattern):
            names = sorted(store.glob(pattern))
        else:
            names = [pattern] if store.isfile(pattern) else sorted(store.find(pattern))
        names = [n for n in names if not n.endswith("/")]
        if not names:
            raise WrongUse(f"{path}: there is no such object", remedy="check the bucket and the prefix")
        for index, name in enumerate(names):
            deadline.check()
            check_size(f"s3://{name}", int(store.size(name) or 0), limits)
            target = target_of(workdir, index, name)
            store.get_file(name, str(target))
            yield Fetched(target, f"s3://{name}")
    except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        # botocore's messages name the operation and the code, never the keys.
        raise FetchFailed(
            f"{path}: {type(error).__name__}: {error}", remedy="check the address, the secret and the rights it gives"
        ) from None
