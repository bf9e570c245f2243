"""Talking to a REST source: one host, bounded answers, a limited number of them, and failures told without secrets.

Here: requests and their answers, page after page. Not here: what is asked for (`rest`, `rest_windows`), what the answers mean.

Requests only ever go to the declared host, whatever a page's "next" link or a redirection says: the secret goes with them.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

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
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from ingestion.connectors.model import SECRETS_REMEDY, Deadline, FetchFailed, Limits, Secrets
from ingestion.errors import WrongUse
from ingestion.feeds.model import Auth, Paginator, RestConnector
from ingestion.formats.flatten import decode

if TYPE_CHECKING:
    from requests.auth import AuthBase

# It writes each request with its parameters, and a key may be one of them.
_CONNECTION_LOG = logging.getLogger("urllib3.connectionpool")
_REMEDY: Final = "open the address by hand with the same secret; if it answers, look at connector.params and paginator"
_CHUNK: Final = 64 * 1024
_NOT_MODIFIED: Final = 304
# Pages that are numbered by us: a server that does not know the parameter answers the same one for ever.
_COUNTED: Final = ("page_number", "offset")


class NotModified(Exception):
    """The server says that the document is what it told of the last time."""


class Source:
    """One fetch of one REST source.

    Attributes:
        origin: its address for people: without credentials and parameters.
        validators: what the server told of the last answer, to be asked about the next time (ETag, Last-Modified).

    Raises of all its methods:
        FetchFailed: the source does not answer, refuses, answers what is no JSON, or has too much to say.
        NotModified: the document is unchanged, where `known` asked that.
        WrongUse: the contract's connector cannot be.
    """

    def __init__(self, connector: RestConnector, secrets: Secrets, limits: Limits, known: dict[str, str] | None = None) -> None:
        self.origin = origin_of(connector)
        self.validators: dict[str, str] = {}
        self._connector, self._limits, self._asks_for_change = connector, limits, bool(known)
        self._deadline = Deadline(self.origin, limits.seconds)
        self._pages = 0
        self._client = RESTClient(
            connector.base_url,
            headers={**connector.headers, **(known or {})},
            auth=_auth(connector.auth, secrets) if connector.auth else None,
            paginator=_paginator(connector.paginator),
            data_selector=connector.data_selector,
            session=_session(connector, limits),
            config=RuntimeConfiguration(),
        )
        self._hide = _HideQuery()
        _CONNECTION_LOG.addFilter(self._hide)

    def close(self) -> None:
        """End the connection."""
        _CONNECTION_LOG.removeFilter(self._hide)
        self._client.session.close()

    def pages(self, params: dict[str, Any]) -> Iterator[list[Any]]:
        """Yield the records of each page of a JSON source."""
        previous: list[Any] = []
        with self._told():
            for page in self._client.paginate(self._connector.path, params=dict(params), hooks={"response": [self._judge]}):
                self._count()
                records = list(page)
                self._check_repeated(is_repeated=bool(records) and records == previous)
                previous = records
                yield records

    def bodies(self, params: dict[str, Any]) -> Iterator[bytes]:
        """Yield answers as they come, up to the first that holds nothing."""
        paginator = self._connector.paginator or Paginator(type="single_page")
        address, asked, place = self._connector.path, dict(params), paginator.base
        if paginator.type in _COUNTED and paginator.param is None:
            raise WrongUse("connector.paginator.param: it says which parameter carries the page", remedy="for instance param: page")
        previous = b""
        while True:
            if paginator.type in _COUNTED:
                asked[str(paginator.param)] = place
            with self._told():
                response = self._client.get(address, params=asked, hooks={"response": [self._judge]})
            self._count()
            body = response.content
            if says_nothing(body):
                return
            self._check_repeated(is_repeated=body == previous)
            previous = body
            yield body
            match paginator.type:
                case "page_number":
                    place += 1
                case "offset":
                    place += _limit(paginator)
                case "header_link" if (paginator.path or "next") in response.links:
                    address, asked = urljoin(response.url, response.links[paginator.path or "next"]["url"]), {}
                case _:
                    return

    def _count(self) -> None:
        self._deadline.check()
        self._pages += 1
        if self._pages > self._limits.max_pages:
            raise FetchFailed(
                f"{self.origin}: more than {self._limits.max_pages} pages", remedy="check the paginator, or ask for larger pages"
            )

    def _check_repeated(self, *, is_repeated: bool) -> None:
        paginator = self._connector.paginator
        if is_repeated and paginator is not None and paginator.type in _COUNTED:
            raise FetchFailed(
                f"{self.origin}: the same page twice: it does not know the parameter {paginator.param!r}",
                remedy="look up how the source counts its pages; if it has a single one, declare paginator: {type: single_page}",
            )

    def _judge(self, response: requests.Response, *_: Any, **__: Any) -> None:
        if response.is_redirect:
            return
        if response.status_code == _NOT_MODIFIED:
            if self._asks_for_change:
                raise NotModified
            raise FetchFailed(f"{self.origin}: answered 304 without having been asked whether it changed", remedy=_REMEDY)
        response.raise_for_status()  # 206 is a success: Hub'Eau answers it while pages follow
        content = self._read(response)
        # Read within its bound before requests reads it all, which then finds what was read.
        response.raw = HTTPResponse(io.BytesIO(content), preload_content=False)
        # dlt reads pages through `json()`, which would round numbers: this one answer gets an exact one, hence the ignore.
        response.json = lambda **_: decode(content)  # type: ignore[method-assign]
        named = {"If-None-Match": response.headers.get("ETag"), "If-Modified-Since": response.headers.get("Last-Modified")}
        self.validators = {name: value for name, value in named.items() if value}

    def _read(self, response: requests.Response) -> bytes:
        """Return a page's bytes, unpacked; it is let go as soon as it is too large, whatever length it declared."""
        declared = response.headers.get("Content-Length", "")
        content = bytearray()
        if not declared.isdigit() or int(declared) <= self._limits.max_page_bytes:
            try:
                for chunk in response.raw.stream(_CHUNK, decode_content=True):
                    content += chunk
                    self._deadline.check()
                    if len(content) > self._limits.max_page_bytes:
                        break
                else:
                    return bytes(content)
            except HTTPError as error:  # cut off, too slow, wrongly packed: told like what requests meets itself
                raise requests.ConnectionError(error) from error
        size = declared or f"more than {self._limits.max_page_bytes}"
        raise FetchFailed(f"{self.origin}: a page of {size} bytes (at most {self._limits.max_page_bytes})", remedy="ask for smaller pages")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say what failed in words for people: the exceptions' own texts hold the address asked for, parameters and key included."""
        try:
            yield
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            reason = (error.response.reason or "") if error.response is not None else ""
            raise FetchFailed(f"{self.origin}: answered {status} {reason}", remedy=_REMEDY) from None
        except requests.exceptions.InvalidSchema:
            raise FetchFailed(
                f"{self.origin}: it leads to another host, where the secret must not go",
                remedy="declare that address as base_url if it is right",
            ) from None
        except requests.RequestException as error:
            raise FetchFailed(f"{self.origin}: {type(error).__name__}", remedy="check that the address answers from this machine") from None
        except (ValueError, RecursionError) as error:
            raise FetchFailed(f"{self.origin}: the answer is not JSON ({type(error).__name__})", remedy=_REMEDY) from None
        except PaginatorNotFound:
            raise FetchFailed(f"{self.origin}: how to ask for the next page is not known", remedy="state connector.paginator") from None


def origin_of(connector: RestConnector) -> str:
    """Return the source's address for people: without credentials and parameters."""
    parts = urlsplit(f"{connector.base_url.rstrip('/')}/{connector.path.lstrip('/')}")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def says_nothing(body: bytes) -> bool:
    """Whether an answer holds no record: empty, an empty list or object, an element without content.

    >>> says_nothing(b" "), says_nothing(b"[ ]"), says_nothing(b'<?xml version="1.0"?><service_requests/>'), says_nothing(b"<a><b/></a>")
    (True, True, True, False)
    """
    text = body.strip()
    if text[:1] == b"<":
        return _is_empty_element(text)
    return not text or (text[:1] + text[-1:] in (b"[]", b"{}") and not text[1:-1].strip())


def _is_empty_element(text: bytes) -> bool:
    from ingestion.formats.wire import WireOptions
    from ingestion.formats.wire_json import Unreadable
    from ingestion.formats.wire_xml import read_xml

    try:
        root = read_xml(text, WireOptions(max_bytes=len(text)))
    except Unreadable:
        return False  # the format's decoder says what is wrong with it
    return len(root) == 0 and not (root.text or "").strip() and not root.attrib


class _HideQuery(logging.Filter):
    """Leaves the parameters of addresses out of log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
        return True


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


def _limit(paginator: Paginator) -> int:
    if paginator.limit is None:
        raise WrongUse("connector.paginator.limit: an offset needs it", remedy="state how many records a page holds")
    return paginator.limit


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
            return OffsetPaginator(limit=_limit(p), offset=p.base, offset_param=p.param, total_path=p.total_path)
        case "cursor":
            return JSONResponseCursorPaginator(cursor_path=p.path or "cursors.next", cursor_param=p.param)
        case "json_link":
            return JSONLinkPaginator(next_url_path=p.path or "next")
        case "header_link":
            return HeaderLinkPaginator(links_next_key=p.path or "next")
