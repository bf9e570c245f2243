"""Superset's configuration: French, closed to the outside, over the lake alone.

Here: every key that differs from Superset's defaults, with its reason. Superset reads the capitals of this module. Not here: addresses
and secrets (`instance`), the French it lacks (`french`), roles and row-level security (`dashboards.access`).
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Final

from dashboards.server import application, events, french, instance, lake_dialect, refusals, throttle

_here: Final = instance.load()
lake_dialect.register()

# --- its own state
SQLALCHEMY_DATABASE_URI = _here.metadata_url
SECRET_KEY = _here.secret_key
SQLALCHEMY_TRACK_MODIFICATIONS = False
# Two workers of eight threads: each may hold a connection. What a server closed meanwhile (a restart) is seen before it is used.
SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 8, "max_overflow": 4, "pool_pre_ping": True}

# --- caches: on disk, shared by the workers, lost without harm
_DAY: Final = int(timedelta(days=1).total_seconds())


def _cache(name: str, timeout_s: int) -> dict[str, Any]:
    return {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": str(_here.folder / "cache" / name),
        "CACHE_DEFAULT_TIMEOUT": timeout_s,
        "CACHE_THRESHOLD": 5_000,  # files; a result has some 20 kB
        "CACHE_KEY_PREFIX": f"{name}_",
    }


CACHE_CONFIG = _cache("metadata", _DAY)
# Publications come every quarter of an hour: a result is never older than that by more than a minute.
DATA_CACHE_CONFIG = _cache("data", 60)
FILTER_STATE_CACHE_CONFIG = _cache("filters", 90 * _DAY)
EXPLORE_FORM_DATA_CACHE_CONFIG = _cache("explore", 7 * _DAY)

# --- French first
BABEL_DEFAULT_LOCALE = "fr"
BABEL_DEFAULT_TIMEZONE = "Europe/Paris"
# Superset's own messages, then our corrections.
BABEL_TRANSLATION_DIRECTORIES = f"translations;{french.directory(_here.folder)}"
LANGUAGES = {"fr": {"flag": "fr", "name": "Français"}, "en": {"flag": "us", "name": "English"}}
D3_FORMAT = {"decimal": ",", "thousands": "\u202f", "grouping": [3], "currency": ["", "\u202f€"]}
D3_TIME_FORMAT = {
    "dateTime": "%A %e %B %Y à %X",
    "date": "%d/%m/%Y",
    "time": "%H:%M:%S",
    "periods": ["", ""],
    "days": ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
    "shortDays": ["dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."],
    "months": [
        *("janvier", "février", "mars", "avril", "mai", "juin", "juillet"), *("août", "septembre", "octobre", "novembre", "décembre"),
    ],
    "shortMonths": ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
}  # fmt: skip
DEFAULT_CURRENCY = "EUR"

# --- what it looks like
APP_NAME = _here.title
APP_ICON = "/vigie/logo.svg"
LOGO_TARGET_PATH = "/"
FAVICONS = [{"href": "/vigie/favicon.svg", "type": "image/svg+xml"}]
# Links to the outside, and a version that helps nobody but who looks for holes.
BUG_REPORT_URL = None
DOCUMENTATION_URL = None
VERSION_STRING = ""
VERSION_SHA = ""
THEME_DEFAULT = application.theme(_here.title)
THEME_DARK = None  # charts and sheets are made for one ground
ENABLE_UI_THEME_ADMINISTRATION = False
# The maps' ground is ours (`ground`); the default list is of servers outside.
DECKGL_BASE_MAP = [["tile:///tuiles/{z}/{x}/{y}.png", "Communes"]]

# --- what people may do
FEATURE_FLAGS = {
    "DASHBOARD_RBAC": True,  # a dashboard is opened by the roles its sheet names
    "RLS_IN_SQLLAB": True,  # an analyst of one town sees it alone there too
    "DRILL_BY": True,
    "DRILL_TO_DETAIL": True,
    "CHART_PLUGINS_EXPERIMENTAL": True,  # the one chart it adds: a figure beside that of another period (pop_kpi)
    "ENABLE_TEMPLATE_PROCESSING": False,  # Jinja in SQL runs code of ours for people
    "ALLOW_ADHOC_SUBQUERY": False,
    "EMBEDDED_SUPERSET": False,
    # Results differ by row-level security, which is part of Superset's key; by user too, so that a change of rights is seen at once.
    "CACHE_QUERY_BY_USER": True,
    "ALERT_REPORTS": False,  # alarms are the alert engine's
    "ESCAPE_MARKDOWN_HTML": True,
    "ENABLE_SUPERSET_META_DB": False,
    "SSH_TUNNELING": False,
    "CSS_TEMPLATES": False,
}
SQLLAB_TIMEOUT = int(_here.timeout_s)
SUPERSET_WEBSERVER_TIMEOUT = 60
# What one reads in a page; more is an export of `vigie sql` or open data.
SQL_MAX_ROW = 100_000
ROW_LIMIT = 10_000
SQLLAB_CTAS_NO_LIMIT = False
PREVENT_UNSAFE_DB_CONNECTIONS = True
DB_SQLA_URI_VALIDATOR = application.only_the_lake
# Whoever may open a dashboard could list everybody's name and address, which holds their login.
EXTRA_RELATED_QUERY_FILTERS = {"user": application.accounts_for_authors}
# What the lake says is French and whole (`refusals`): without "duckdb error:" before it.
CUSTOM_DATABASE_ERRORS = {"Lac de données": refusals.SHOWN}
# Uploading files into a database: there is none to write into.
ALLOWED_EXTENSIONS: set[str] = set()
AUTH_ROLE_PUBLIC = "Public"
PUBLIC_ROLE_LIKE = None
RECAPTCHA_PUBLIC_KEY = ""
# Five wrong passwords a minute (`throttle`): Superset's own limit counts those that are right too, and leaves the API open.
AUTH_RATE_LIMITED = False
RATELIMIT_ENABLED = True
RATELIMIT_APPLICATION = None  # a dashboard asks for thirty charts at once
RATELIMIT_STORAGE_URI = throttle.storage_uri(_here.folder)

# --- the browser: nothing from outside, in no frame but ours
TALISMAN_ENABLED = True
CONTENT_SECURITY_POLICY_WARNING = False
TALISMAN_CONFIG = {
    "content_security_policy": {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "object-src": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        # Superset's styles are written into the page as it runs.
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,  # a proxy's business, in front
    "session_cookie_secure": _here.is_secure,
    "frame_options": "SAMEORIGIN",
    "referrer_policy": "same-origin",
}
ENABLE_CORS = False  # no page of another host asks for anything here
WTF_CSRF_ENABLED = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _here.is_secure
SESSION_COOKIE_NAME = "vigie_tableaux"  # cookies ignore ports: the other pages of this machine have their own
PERMANENT_SESSION_LIFETIME = timedelta(hours=12)  # a working day
# Behind a proxy (server profile) alone: elsewhere anybody could write the address that wrong passwords are counted for.
ENABLE_PROXY_FIX = _here.is_secure
# The proxy writes these two and keeps `Host`: what else is so called comes from anybody.
PROXY_FIX_CONFIG = {"x_for": 1, "x_proto": 1, "x_host": 0, "x_port": 0, "x_prefix": 0}

# --- what is kept of what people do
EVENT_LOGGER = events.Journal()

# --- quiet
ENABLE_ROW_LEVEL_SECURITY = True
FAB_ADD_SECURITY_API = True
FAB_API_SWAGGER_UI = False
TALISMAN_DEV_CONFIG = TALISMAN_CONFIG
# Embedding is off; a token signed with the published default must be worth nothing even so.
GUEST_TOKEN_JWT_SECRET = hashlib.sha256(f"guest {_here.secret_key}".encode()).hexdigest()
CHECK_FOR_UPDATES = False
SCARF_ANALYTICS = False
DISABLE_DATASET_SOURCE_EDIT = False

FLASK_APP_MUTATOR = application.mutate
