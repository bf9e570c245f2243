"""What a sheet may draw on: the published tables, their columns and measures, as dbt's manifest describes them.

Here: reading the manifest. Not here: descriptions, labels, units, measures themselves: they stand beside the models, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

PUBLISHED: Final = ("core", "indicators", "open_data")


@dataclass(frozen=True)
class Column:
    """A published column: its type as DuckDB writes it, its French title, unit and description."""

    name: str
    data_type: str
    label: str
    unit: str | None
    description: str

    @property
    def is_instant(self) -> bool:
        """Whether it is an instant (UTC in the lake)."""
        return self.data_type == "timestamp with time zone"

    @property
    def is_time(self) -> bool:
        """Whether it can be a time axis."""
        return self.data_type in {"date", "timestamp", "timestamp with time zone"}


@dataclass(frozen=True)
class Measure:
    """An aggregation over a table's rows, right at any grouping.

    Attributes:
        name: its name in the table.
        label: French title, without the unit.
        expression: DuckDB's SQL over the table's columns.
        unit: as people read it.
        decimals: shown after the comma.
        description: what it is, how it is worked out, what its absence means.
        is_better: `lower`, `higher`, `none`.
    """

    name: str
    label: str
    expression: str
    unit: str
    decimals: int
    description: str
    is_better: Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Table:
    """A published table.

    Attributes:
        schema: `core`, `indicators`, `open_data`.
        name: without the schema.
        label: French title.
        description: French, ends with its grain.
        owner: the service that answers for it.
        classification: `open`, `internal`.
        authority_column: the column that says which authority a row belongs to; None: rows belong to no one authority.
        is_authority_stated: whether the model says so, one way or the other; a sheet draws on no table that does not.
        columns: by name.
        measures: by name.
    """

    schema: str
    name: str
    label: str
    description: str
    owner: str
    classification: str
    authority_column: str | None
    is_authority_stated: bool
    columns: Mapping[str, Column]
    measures: Mapping[str, Measure]

    @property
    def full_name(self) -> str:
        """`schema.table`, as people write it."""
        return f"{self.schema}.{self.name}"


def read(manifest: Mapping[str, Any]) -> dict[str, Table]:
    """Return the published tables of a dbt manifest, by `schema.table`.

    A model that lacks a label keeps its name; what is missing is the business of the models' own test.
    """
    found: dict[str, Table] = {}
    for node in manifest["nodes"].values():
        schema, _, name = str(node["name"]).partition("__")
        if node["resource_type"] in {"model", "seed"} and schema in PUBLISHED and name:
            table = _table(schema, name, node)
            found[table.full_name] = table
    return found


def _table(schema: str, name: str, node: Mapping[str, Any]) -> Table:
    meta = node["config"].get("meta", {})
    authority = meta.get("row_authority")
    return Table(
        schema=schema,
        name=name,
        label=meta.get("label", name),
        description=" ".join(str(node.get("description", "")).split()),
        owner=meta.get("owner", ""),
        classification=meta.get("classification", "internal"),
        authority_column=None if authority in {None, "none"} else str(authority),
        is_authority_stated=authority is not None,
        columns={c["name"]: _column(c) for c in node["columns"].values()},
        measures={m["name"]: _measure(m) for m in meta.get("metrics", ())},
    )


def _column(column: Mapping[str, Any]) -> Column:
    meta = column.get("config", {}).get("meta", {}) or column.get("meta", {})
    return Column(
        name=column["name"],
        data_type=str(column.get("data_type") or "varchar").lower(),
        label=meta.get("label", column["name"]),
        unit=meta.get("unit"),
        description=" ".join(str(column.get("description", "")).split()),
    )


def _measure(document: Mapping[str, Any]) -> Measure:
    return Measure(
        name=document["name"],
        label=document["label"],
        expression=" ".join(str(document["expression"]).split()),
        unit=document["unit"],
        decimals=int(document.get("decimals", 0)),
        description=" ".join(str(document["description"]).split()),
        is_better=document.get("is_better", "none"),
    )
