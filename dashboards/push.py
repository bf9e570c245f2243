"""Putting what the sheets say on a dashboard server: assets in one call, then what no sheet makes any more, then roles and rules.

Here: what is due, what was changed in the browser since the last push and is not overwritten unasked, the record of a push. Not here: the
assets themselves (`dashboards.compiler`), bringing changes back (`dashboards.pull`), accounts (`dashboards.people`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from dashboards import rights
from dashboards.client import Document, Superset
from dashboards.compiler.bundle import Bundle
from ingestion.errors import WrongUse

_DASHBOARDS: Final = "/api/v1/dashboard/"
_CHARTS: Final = "/api/v1/chart/"
_DATASETS: Final = "/api/v1/dataset/"
# What the page writes into a dashboard when somebody who may edit it merely opens it (`PUT …/colors`).
_DRAWN: Final = frozenset(
    {"color_namespace", "color_scheme", "color_scheme_domain", "label_colors", "map_label_colors", "shared_label_colors"}
)


# How what stands is told: by the export of this Superset, digested in this way. Changed, former digests say nothing.
_WAY: Final = 1


def scheme() -> str:
    """Return what makes two digests of what stands comparable: the installed Superset, and the way it is digested."""
    lock = Path(__file__).with_name("requirements.lock").read_bytes()
    return f"{_WAY}:{hashlib.sha256(lock).hexdigest()[:16]}"


@dataclass(frozen=True)
class Record:
    """What the last push left, kept with the instance.

    Attributes:
        digest: of the bundle.
        stands: uuid of each dashboard and dataset to a digest of what stood there after it.
        marks: what tells whether a local account's password changed (`dashboards.people`).
        skipped: titles of what it left as people changed it.
        scheme: how `stands` was told.
    """

    digest: str = ""
    stands: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    scheme: str = field(default_factory=scheme)

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read it; nothing was pushed when the file is missing or is not one.

        After an upgrade of Superset what stands is not known: what somebody else saved last counts as changed, the rest is pushed again.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["scheme"] != scheme():
                return cls(marks=document["marks"])
            return cls(document["digest"], document["stands"], document["marks"], tuple(document["skipped"]), document["scheme"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Write it, whole or not at all; it holds no secret."""
        draft = path.with_name(f".{path.name}")
        draft.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        draft.replace(path)


@dataclass(frozen=True)
class Outcome:
    """What a push did.

    Attributes:
        record: to keep.
        imported: whether assets were sent.
        changed: what else was changed, a line each.
        removed: charts and dashboards that no sheet makes any more.
        skipped: titles of what was left as people changed it.
    """

    record: Record
    imported: bool
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    skipped: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document, without the record."""
        return {key: value for key, value in asdict(self).items() if key != "record"}


@dataclass(frozen=True)
class _Found:
    """What stands on the server, by uuid."""

    dashboards: Mapping[str, Document]
    charts: Mapping[str, Document]
    datasets: Mapping[str, Document]
    robot: int

    @classmethod
    def look(cls, server: Superset) -> _Found:
        robot = next(int(u["id"]) for u in server.all("/api/v1/security/users/") if u["username"] == server.login)
        wanted = (
            (_DASHBOARDS, ("dashboard_title", "created_by.id", "changed_by.id")),
            (_CHARTS, ("slice_name", "created_by.id", "changed_by.id", "dashboards.id")),
            (_DATASETS, ("schema", "table_name")),
        )
        dashboards, charts, datasets = ({str(d["uuid"]): d for d in server.all(p, "id", "uuid", *c)} for p, c in wanted)
        return cls(dashboards, charts, datasets, robot)

    @property
    def uuids(self) -> frozenset[str]:
        return frozenset({*self.dashboards, *self.charts, *self.datasets})

    def made_by_us(self) -> frozenset[str]:
        """Return the dashboards and charts that a push made: nothing else is done in Vigie's own account."""
        both = {**self.dashboards, **self.charts}
        return frozenset(uuid for uuid, item in both.items() if (item.get("created_by") or {}).get("id") == self.robot)

    def charts_of(self, dashboard: str) -> frozenset[str]:
        """Return the charts of a dashboard."""
        number = self.dashboards[dashboard]["id"]
        return frozenset(uuid for uuid, c in self.charts.items() if any(d["id"] == number for d in c.get("dashboards", ())))


def push(server: Superset, bundle: Bundle, record: Record, *, on_edit: str = "refuse") -> Outcome:
    """Put a bundle on a server; what already stands is not sent again, roles and rules are compared each time.

    Args:
        server: signed in as Vigie's own account.
        bundle: the compiled sheets.
        record: of the last push.
        on_edit: what becomes of what people changed in the browser since: `refuse`, `skip` it, or `overwrite` it.

    Raises:
        WrongUse: something was changed in the browser, and `on_edit` is `refuse`.
        VigieError: the server refuses.
    """
    found = _Found.look(server)
    wanted = _uuids(bundle)
    is_due = bundle.digest != record.digest or not wanted <= found.uuids or bool(found.made_by_us() - wanted)
    if not is_due and on_edit == "skip":
        return Outcome(record, imported=False, changed=tuple(rights.apply(server, bundle)), removed=(), skipped=record.skipped)
    edited = changed_in_browser(server, record, found=found)
    if edited and on_edit == "refuse":
        raise WrongUse(
            f"changed in the browser since the last push: {', '.join(edited.values())}",
            remedy="bring the changes into the sheets (vigie dashboards pull), or overwrite them (vigie dashboards push --force)",
        )
    kept = {uuid: title for uuid, title in edited.items() if uuid in found.dashboards} if on_edit == "skip" else {}
    if not is_due and not edited:
        return Outcome(record, imported=False, changed=tuple(rights.apply(server, bundle)), removed=(), skipped=())
    left = frozenset(kept).union(*(found.charts_of(uuid) for uuid in kept))
    server.import_assets(_without(bundle, left).zip())
    removed = _remove_others(server, found, wanted | left)
    # Measures stand beside the models: what an administrator changed in one is not kept, and the charts of the others name it.
    changed = [f"{title} is as its model says again" for uuid, title in edited.items() if uuid in found.datasets]
    changed += rights.apply(server, bundle)
    stands = standing(server) | {uuid: old for uuid, old in record.stands.items() if uuid in kept}
    new = Record(bundle.digest, stands, record.marks, tuple(kept.values()))
    return Outcome(new, imported=True, changed=tuple(changed), removed=tuple(removed), skipped=new.skipped)


def changed_in_browser(server: Superset, record: Record, *, found: _Found | None = None) -> dict[str, str]:
    """Return what a push made and people changed since: uuid to title.

    Without a record of the push, what somebody else's account saved last was changed.
    """
    found = found or _Found.look(server)
    ours = {uuid: d for uuid, d in found.dashboards.items() if uuid in found.made_by_us()}
    if not ours:
        return {}
    now, recorded = standing(server, found=found), record.stands
    edited = {uuid: str(d["dashboard_title"]) for uuid, d in ours.items() if uuid in recorded and now.get(uuid) != recorded[uuid]}
    edited |= {
        u: f"{d['schema']}.{d['table_name']}" for u, d in found.datasets.items() if u in recorded and now.get(u, recorded[u]) != recorded[u]
    }
    for uuid in ours.keys() - recorded.keys():
        parts = [ours[uuid], *(found.charts[chart] for chart in found.charts_of(uuid))]
        if any((part.get("changed_by") or {}).get("id", found.robot) != found.robot for part in parts):
            edited[uuid] = str(ours[uuid]["dashboard_title"])
    return edited


def standing(server: Superset, *, found: _Found | None = None) -> dict[str, str]:
    """Return a digest of each dashboard a push made, with its charts, and of each dataset they draw on, by uuid."""
    found = found or _Found.look(server)
    ours = {uuid: int(d["id"]) for uuid, d in found.dashboards.items() if uuid in found.made_by_us()}
    files = server.export_dashboards(sorted(ours.values()))
    charts = {str(d["uuid"]): d for name, d in files.items() if name.startswith("charts/")}
    stands: dict[str, str] = {}
    for name, document in files.items():
        if name.startswith("dashboards/"):
            parts = [charts[uuid] for uuid in sorted(chart_uuids(document)) if uuid in charts]
            stands[str(document["uuid"])] = _digest([_without_drawn_colors(document), *parts])
        elif name.startswith("datasets/"):
            stands[str(document["uuid"])] = _digest([document])
    return stands


def chart_uuids(dashboard: Document) -> set[str]:
    """Return the uuids of the charts that an exported dashboard shows."""
    nodes = (dashboard.get("position") or {}).values()
    return {str(n["meta"]["uuid"]) for n in nodes if isinstance(n, dict) and n.get("type") == "CHART" and "uuid" in n.get("meta", {})}


def _without_drawn_colors(dashboard: Document) -> Document:
    """Return a dashboard without the colours that the page gave to values as it was drawn, and wrote down: opening is not editing."""
    metadata = dashboard.get("metadata") or {}
    return {**dashboard, "metadata": {key: value for key, value in metadata.items() if key not in _DRAWN}}


def _digest(documents: list[Document]) -> str:
    text = json.dumps(documents, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _uuids(bundle: Bundle) -> frozenset[str]:
    return frozenset(str(d["uuid"]) for name, d in bundle.files.items() if name.startswith(("dashboards/", "charts/", "datasets/")))


def _without(bundle: Bundle, left: Collection[str]) -> Bundle:
    """Return a bundle without some dashboards and charts: they stay on the server as they are."""
    dropped = set(left).union(*(chart_uuids(d) for d in bundle.files.values() if d.get("uuid") in left))
    return replace(bundle, files={name: d for name, d in bundle.files.items() if d.get("uuid") not in dropped})


def _remove_others(server: Superset, found: _Found, wanted: frozenset[str]) -> list[str]:
    """Delete the charts and dashboards of former pushes that no sheet makes any more; return their titles."""
    removed = []
    for uuid in sorted(found.made_by_us() - wanted):
        if uuid in found.dashboards:
            server.delete(f"{_DASHBOARDS}{found.dashboards[uuid]['id']}")
            removed.append(str(found.dashboards[uuid]["dashboard_title"]))
        else:
            server.delete(f"{_CHARTS}{found.charts[uuid]['id']}")
            removed.append(str(found.charts[uuid]["slice_name"]))
    return removed
