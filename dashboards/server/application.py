"""What is added to Superset's application: its look, its one database, its French, the ground of its maps, its list of accounts.

Here: what `superset_config` names, and what is added where. Not here: values of configuration; each addition has its module.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.url import URL

from dashboards.server import french, ground, home, pages, sqllab, throttle


def theme(title: str) -> dict[str, Any]:
    """Return the theme of the pages: Vigie's colours, the system's fonts (none is fetched)."""
    return {
        "token": {
            "brandAppName": title,
            "brandLogoAlt": title,
            "brandLogoUrl": "/vigie/logo.svg",
            "brandLogoHref": "/",
            "brandLogoHeight": "26px",
            "colorPrimary": "#0b5fa5",
            "colorLink": "#0b5fa5",
            "colorError": "#c0392b",
            "colorWarning": "#d68910",
            "colorSuccess": "#1e8449",
            "colorInfo": "#2471a3",
            "fontUrls": [],
            "fontFamily": "Inter, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif",
        },
        "algorithm": "default",
    }


def only_the_lake(uri: URL) -> None:
    """Refuse any database but the lake: this server reads nothing else.

    Raises:
        ValueError: the address is of something else.
    """
    if uri.drivername != "duckdb+vigie":
        raise ValueError("Ce serveur ne lit que le lac de données de Vigie (duckdb+vigie:///lake)")


def accounts_for_authors(query: Any) -> Any:
    """Keep the list of accounts, logins included, to whom it serves: who makes charts names their owners. Others get nobody."""
    from sqlalchemy import false
    from superset import security_manager

    return query if security_manager.can_access("can_write", "Chart") else query.filter(false())


def mutate(app: Any) -> None:
    """Add to Superset's Flask application what it lacks."""
    app.register_blueprint(home.blueprint)
    home.serve(app)
    french.complete(app)
    pages.serve(app)
    ground.serve(app)
    throttle.limit(app)
    sqllab.guard(app)
