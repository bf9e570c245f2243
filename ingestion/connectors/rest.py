"""REST sources: pages to JSON lines, through dlt's client (paging, retry, authentication).

Here: one fetch of one source. Not here: what the records mean.

Numbers are kept as the source writes them. Requests only ever go to the declared host, whatever a page's "next" link or a
redirection says: the secret goes with them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from dlt.common.configuration.specs.runtime_configuration import RuntimeConfiguration
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, BearerTokenAuth, HttpBasicAuth
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.exceptions import PaginatorNotFound
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)
from requests.adapters import HTTPAdapter

from ingestion.connectors.cursors import Progress
from ingestion.connectors.model import SECRETS_REMEDY, Cursor, Deadline, Fetched, FetchFailed, Limits, Secrets
from ingestion.errors import WrongUse
from ingestion.feeds.model import Auth, Paginator, RestConnector
from ingestion.formats.flatten import decode, to_json

if TYPE_CHECKING:
    from requests.auth import AuthBase

# It writes each request with its parameters, and a key may be one of them.
_CONNECTION_LOG = logging.getLogger("urllib3.connectionpool")
_REMEDY = "open the address by hand with the same secret; if it answers, look at connector.params and paginator"


def fetch_rest(connector: RestConnector, secrets: Secrets, workdir: Path, cursor: Cursor | None, limits: Limits) -> Iterator[Fetched]:
    """Yield one file of JSON lines, one line per record; nothing when the source has nothing new.

    Raises:
        FetchFailed: the source does not answer, refuses, answers what is no JSON, or has too much to say.
        WrongUse: the contract's connector cannot be.
    """
    origin = origin_of(connector)
    progress = Progress(connector.incremental, cursor) if connector.incremental else None
    params: dict[str, Any] = dict(connector.params)
    if progress and connector.incremental and connector.incremental.param:
        params[connector.incremental.param] = progress.since_text
    client = RESTClient(
        connector.base_url,
        headers=dict(connector.headers),
        auth=_auth(connector.auth, secrets) if connector.auth else None,
        paginator=_paginator(connector.paginator),
        data_selector=connector.data_selector,
        session=_session(connector, limits),
        config=RuntimeConfiguration(),
    )
    target = workdir / "fetched-00000.ndjson"
    hide = _HideQuery()
    _CONNECTION_LOG.addFilter(hide)
    count = 0
    try:
        with target.open("w", encoding="utf-8") as out:
            for records in _pages(client, connector, params, origin, limits):
                for record in records:
                    if progress and connector.incremental:
                        value = _at(record, connector.incremental.cursor)
                        if connector.incremental.param is None and not progress.is_new(value):
                            continue
                        progress.see(value)
                    out.write(to_json(record) + "\n")
                    count += 1
    finally:
        _CONNECTION_LOG.removeFilter(hide)
        client.session.close()
    if count:
        yield Fetched(target, origin, progress.cursor if progress else None)


def origin_of(connector: RestConnector) -> str:
    """Return the source's address for people: without credentials and parameters."""
    parts = urlsplit(f"{connector.base_url.rstrip('/')}/{connector.path.lstrip('/')}")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _pages(client: RESTClient, connector: RestConnector, params: dict[str, Any], origin: str, limits: Limits) -> Iterator[list[Any]]:
    deadline = Deadline(origin, limits.seconds)

    def judge(response: requests.Response, *_: Any, **__: Any) -> None:
        declared = response.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > limits.max_page_bytes:
            raise FetchFailed(f"{origin}: a page of {declared} bytes (at most {limits.max_page_bytes})", remedy="ask for smaller pages")
        if response.is_redirect:
            return
        response.raise_for_status()  # 206 is a success: Hub'Eau answers it while pages follow
        content = response.content
        # dlt reads pages through `json()`, which would round numbers: this one answer gets an exact one, hence the ignore.
        response.json = lambda **_: decode(content)  # type: ignore[method-assign]

    pages = client.paginate(connector.path, params=params, hooks={"response": [judge]})
    try:
        for number, page in enumerate(pages, start=1):
            deadline.check()
            if number > limits.max_pages:
                raise FetchFailed(f"{origin}: more than {limits.max_pages} pages", remedy="check the paginator, or ask for larger pages")
            yield list(page)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        raise FetchFailed(f"{origin}: answered {status} {_reason(error)}", remedy=_REMEDY) from None
    except requests.exceptions.InvalidSchema:
        raise FetchFailed(
            f"{origin}: it leads to another host, where the secret must not go", remedy="declare that address as base_url if it is right"
        ) from None
    except requests.RequestException as error:
        # The exception's own text holds the address asked for, parameters and key included.
        raise FetchFailed(f"{origin}: {type(error).__name__}", remedy="check that the address answers from this machine") from None
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"{origin}: the answer is not JSON ({type(error).__name__})", remedy=_REMEDY) from None
    except PaginatorNotFound:
        raise FetchFailed(f"{origin}: how to ask for the next page is not known", remedy="state connector.paginator") from None


class _HideQuery(logging.Filter):
    """Leaves the parameters of addresses out of log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
        return True


def _reason(error: requests.HTTPError) -> str:
    return (error.response.reason or "") if error.response is not None else ""


def _session(connector: RestConnector, limits: Limits) -> requests.Session:
    client = Client(
        request_timeout=limits.timeout_seconds,
        raise_for_status=False,
        request_max_attempts=limits.attempts,
        request_backoff_factor=limits.backoff_seconds,
    )
    session: requests.Session = client.session
    parts = urlsplit(connector.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise WrongUse(
            f"connector.base_url: {connector.base_url!r} is no web address", remedy="for instance https://hubeau.eaufrance.fr/api"
        )
    if parts.username or parts.password:
        raise WrongUse("connector.base_url holds credentials", remedy="name a secret under connector.auth")
    session.adapters.clear()
    session.mount(f"{parts.scheme}://{parts.netloc}/", HTTPAdapter())
    session.trust_env = False  # a .netrc or a proxy of whoever runs this must not change what is asked, nor see the secret
    return session


def _auth(auth: Auth, secrets: Secrets) -> AuthBase:
    value = secrets(auth.secret)
    match auth.type:
        case "bearer":
            return BearerTokenAuth(token=value)
        case "api_key":
            return APIKeyAuth(name=auth.name, api_key=value, location=auth.location)
        case "basic":
            username, separator, password = value.partition(":")
            if not separator:
                raise WrongUse(f"secret {auth.secret}: not `username:password`", remedy=SECRETS_REMEDY)
            return HttpBasicAuth(username=username, password=password)


def _paginator(paginator: Paginator | None) -> BasePaginator | None:
    if paginator is None:
        return None
    p = paginator
    match p.type:
        case "single_page":
            return SinglePagePaginator()
        case "page_number":
            return PageNumberPaginator(base_page=p.base, page_param=p.param, total_path=p.total_path)
        case "offset":
            if p.limit is None:
                raise WrongUse("connector.paginator.limit: an offset needs it", remedy="state how many records a page holds")
            return OffsetPaginator(limit=p.limit, offset=p.base, offset_param=p.param, total_path=p.total_path)
        case "cursor":
            return JSONResponseCursorPaginator(cursor_path=p.path or "cursors.next", cursor_param=p.param)
        case "json_link":
            return JSONLinkPaginator(next_url_path=p.path or "next")
        case "header_link":
            return HeaderLinkPaginator(links_next_key=p.path or "next")


def _at(record: Any, path: str) -> Any:
    """Return the value at a dotted path of a record; `None` where there is none."""
    for step in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(step)
    return record
