"""Whether a sheet can be drawn from the published tables, and whether what it says holds together.

Here: names that do not exist, columns that cannot do what is asked of them, contradictions between panels or filters. Not here: the shape
(`model`), lines (`load`).

Paths are those of the YAML: French keys, places in lists from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from dashboards.sheets.catalogue import Column, Table
from dashboards.sheets.model import PERIODS, Filter, Kind, Panel, Sheet
from ingestion.feeds.load_problem import KeyPath, Problem, did_you_mean, listed, shown

# Where a map reads its places: the columns of these names, in every table that has a place.
OUTLINE: Final = "outline"
LONGITUDE: Final = "longitude"
LATITUDE: Final = "latitude"
PLACES: Final[Mapping[Kind, tuple[str, ...]]] = {"carte_communes": (OUTLINE,), "carte_points": (LONGITUDE, LATITUDE)}

# What each kind draws, beyond what all have (titre, table, largeur, hauteur, aide, temps, ou): anything else would be silently ignored.
_DRAWN: Final[Mapping[Kind, frozenset[str]]] = {
    "chiffre": frozenset({"mesures", "pas", "comparer", "cible", "seuils"}),
    "courbe": frozenset({"mesures", "par", "pas", "comparer", "cible", "limite", "trier_par"}),
    "barres": frozenset({"mesures", "par", "pas", "comparer", "cible", "limite", "trier_par", "empile"}),
    "classement": frozenset({"mesures", "par", "limite", "trier_par", "empile"}),
    "repartition": frozenset({"mesures", "par", "limite"}),
    "tableau": frozenset({"mesures", "par", "colonnes", "limite", "trier_par", "seuils"}),
    "croise": frozenset({"mesures", "par", "en_colonnes", "pas", "limite", "trier_par", "seuils"}),
    "chaleur": frozenset({"mesures", "par", "en_colonnes", "pas", "limite"}),
    "carte_communes": frozenset({"mesures", "par", "colonnes", "limite", "seuils"}),
    "carte_points": frozenset({"mesures", "par", "colonnes", "limite", "seuils"}),
    "texte": frozenset(),
}
_SAID: Final = {
    "mesures": "measures", "par": "by", "en_colonnes": "across", "colonnes": "columns", "pas": "grain", "comparer": "compare",
    "cible": "target", "seuils": "thresholds", "trier_par": "order", "empile": "is_stacked", "limite": "limit",
}  # fmt: skip
_ONE_MEASURE: Final = frozenset({"repartition", "chaleur", "carte_communes", "carte_points"})
# Kinds whose measures share an axis: one title, one unit.
_ONE_AXIS: Final = frozenset({"courbe", "barres", "classement"})
# The classification of what the public may read.
_FOR_VISITORS: Final = "open"
_FINER_THAN_A_DAY: Final = "heure"
_RANGE: Final = re.compile(r"\d{4}-\d{2}-\d{2} : \d{4}-\d{2}-\d{2}")


def sheet_problems(sheet: Sheet, catalogue: Mapping[str, Table]) -> list[Problem]:
    """Return what keeps a sheet from being drawn, without lines."""
    found = list(_twice("onglets", [t.title for t in sheet.tabs]))
    found += _twice("filtres", [f.title for f in sheet.filters])
    seen: set[str] = set()
    for i, tab in enumerate(sheet.tabs):
        for j, panel in enumerate(tab.panels):
            path: KeyPath = ("onglets", i, "panneaux", j)
            if panel.title in seen:
                found.append(Problem((*path, "titre"), f"two panels ask {shown(panel.title)}", "one question, one panel: say what differs"))
            seen.add(panel.title)
            found += _panel(panel, path, catalogue)
    tables = [catalogue[name] for name in sheet.tables if name in catalogue]
    for i, chosen in enumerate(sheet.filters):
        found += _filter(chosen, ("filtres", i), sheet, tables, catalogue)
    found += _circles(sheet.filters)
    if "visiteur" in sheet.roles:
        closed = sorted({t.full_name for t in tables if t.classification != _FOR_VISITORS})
        if closed:
            what = f"visitors read open tables alone, and these are not: {listed(closed)}"
            found.append(Problem(("ouvert_a",), what, "leave visiteur out, or draw on tables classified open"))
    if sheet.is_by_authority and tables and all(t.authority_column is None for t in tables):
        found.append(
            Problem(
                ("par_collectivite",),
                "no table of this sheet says which authority its rows belong to: an analyst of one authority would see nothing",
                "write: par_collectivite: false",
            )
        )
    return found


def _twice(key: str, titles: Sequence[str]) -> Iterator[Problem]:
    for i, title in enumerate(titles):
        if title in titles[:i]:
            yield Problem((key, i, "titre"), f"is written twice: {shown(title)}", "give each its own title")


def _table(name: str, path: KeyPath, catalogue: Mapping[str, Table]) -> Table | Problem:
    table = catalogue.get(name)
    if table is None:
        return Problem(path, f"is no published table: {shown(name)}", did_you_mean(name, catalogue, otherwise="vigie sql --tables"))
    if not table.is_authority_stated:
        what = f"{name} does not say which authority its rows belong to: nobody could be kept from the rows of another"
        return Problem(path, what, "write row_authority (a column, or none) in the meta of its model")
    return table


def _panel(panel: Panel, path: KeyPath, catalogue: Mapping[str, Table]) -> Iterator[Problem]:
    drawn = _DRAWN[panel.kind]
    for key, attribute in _SAID.items():
        if attribute in panel.model_fields_set and key not in drawn:
            yield Problem((*path, key), f"is not drawn by a panel of kind {panel.kind}", f"leave it out; {panel.kind} reads {_keys(drawn)}")
    if panel.table is None:
        return
    table = _table(panel.table, (*path, "table"), catalogue)
    if isinstance(table, Problem):
        yield table
        return
    yield from _names(panel, path, table)
    yield from _time(panel, path, table)
    yield from _thresholds(panel, path)
    yield from _measures(panel, path, table)
    for column in PLACES.get(panel.kind, ()):
        if column not in table.columns:
            yield Problem((*path, "table"), f"{panel.table} has no column {column}: it has no place on a map", _with(column, catalogue))


def _keys(drawn: Iterable[str]) -> str:
    return listed(["titre", *sorted(drawn)])


def _with(column: str, catalogue: Mapping[str, Table]) -> str:
    return f"tables that have one: {listed(name for name, t in sorted(catalogue.items()) if column in t.columns)}"


def _names(panel: Panel, path: KeyPath, table: Table) -> Iterator[Problem]:
    columns = table.columns
    named: list[tuple[KeyPath, str]] = [((key, i), name) for key, names in _columns_by_key(panel).items() for i, name in enumerate(names)]
    named += [(("ou", i, "colonne"), c.column) for i, c in enumerate(panel.where)]
    named += [(("temps",), panel.time)] if panel.time is not None else []
    for where, name in named:
        if name not in columns:
            what = f"{table.full_name} has no column {shown(name)}"
            remedy = (
                f"{name!r} is one of its measures" if name in table.measures else did_you_mean(name, columns, otherwise=listed(columns))
            )
            yield Problem((*path, *where), what, remedy)
    for i, name in enumerate(panel.measures):
        if name not in table.measures:
            what = f"{table.full_name} has no measure {shown(name)}"
            known = listed(table.measures) or "it has none: measures stand in the meta of its model"
            remedy = f"{name!r} is one of its columns" if name in columns else did_you_mean(name, table.measures, otherwise=known)
            yield Problem((*path, "mesures", i), what, remedy)
    for i, condition in enumerate(panel.where):
        column = columns.get(condition.column)
        bounded = condition.at_least is not None or condition.at_most is not None
        if column is not None and bounded and not is_number(column):
            yield Problem((*path, "ou", i), f"{column.name} is no number ({column.data_type}): it has no bounds", "write valeurs or sauf")
    if panel.order is not None:
        yield from _order(panel, panel.order.removeprefix("-"), (*path, "trier_par"), table)


def _columns_by_key(panel: Panel) -> dict[str, tuple[str, ...]]:
    return {"par": panel.by, "en_colonnes": panel.across, "colonnes": panel.columns}


def _order(panel: Panel, name: str, path: KeyPath, table: Table) -> Iterator[Problem]:
    if panel.kind == "tableau" and not panel.measures:
        known: tuple[str, ...] = tuple(table.columns)
    else:
        known = (*table.measures, *panel.by, *panel.across)
    if name not in known:
        yield Problem(path, f"cannot be ordered by {shown(name)}", did_you_mean(name, known, otherwise=listed(known)))


def _time(panel: Panel, path: KeyPath, table: Table) -> Iterator[Problem]:
    column = table.columns.get(panel.time) if panel.time is not None else None
    if column is not None and not column.is_time:
        dates = [c.name for c in table.columns.values() if c.is_time]
        remedy = f"dates of {table.full_name}: {listed(dates)}" if dates else "it has no date: leave temps out"
        yield Problem((*path, "temps"), f"{column.name} is no date ({column.data_type})", remedy)
    if column is not None and column.data_type == "date" and panel.grain == _FINER_THAN_A_DAY:
        yield Problem((*path, "pas"), f"{column.name} holds days: an hour is finer than what is known", "write jour, or coarser")
    if panel.grain is not None and panel.time is None:
        yield Problem((*path, "pas"), "is the step of a time: there is none", "write temps")


def _thresholds(panel: Panel, path: KeyPath) -> Iterator[Problem]:
    last: float | None = None
    for i, threshold in enumerate(panel.thresholds):
        here = (*path, "seuils", i)
        if threshold.start is None and i > 0:
            yield Problem(here, "only the first threshold may lack a_partir_de", "write from which value on it holds")
        if threshold.start is not None and last is not None and threshold.start <= last:
            yield Problem((*here, "a_partir_de"), f"{threshold.start:g} does not come after {last:g}", "write thresholds lowest first")
        last = threshold.start if threshold.start is not None else last
    if panel.thresholds and not panel.measures:
        yield Problem((*path, "seuils"), "colour a measure, and there is none", "write mesures, or leave seuils out")


def _measures(panel: Panel, path: KeyPath, table: Table) -> Iterator[Problem]:
    if panel.kind in _ONE_MEASURE and len(panel.measures) > 1:
        yield Problem((*path, "mesures"), f"a panel of kind {panel.kind} draws one measure", "make a panel of each")
    if len(set(panel.measures)) < len(panel.measures):
        yield Problem((*path, "mesures"), "names a measure twice", "keep one")
    units = {table.measures[m].unit for m in panel.measures if m in table.measures}
    shares_a_scale = panel.kind in _ONE_AXIS or (panel.thresholds and panel.kind != "carte_points")
    if len(units) > 1 and shares_a_scale:
        yield Problem((*path, "mesures"), f"share one scale, and have several units: {listed(sorted(units))}", "make a panel of each unit")
    if panel.kind == "tableau" and panel.columns and panel.measures:
        yield Problem((*path, "colonnes"), "a tableau shows rows as they are (colonnes) or measures (par)", "keep one of the two")


def is_number(column: Column) -> bool:
    """Return whether a column holds numbers, as DuckDB names its type."""
    return bool(re.match(r"(u?(tiny|small|big|huge)?int(eger)?|double|float|real|decimal|numeric)", column.data_type))


def _filter(chosen: Filter, path: KeyPath, sheet: Sheet, tables: Sequence[Table], catalogue: Mapping[str, Table]) -> Iterator[Problem]:
    if chosen.kind == "periode":
        yield from _period(chosen, path, sheet)
        return
    name = str(chosen.column)
    owner = _table(chosen.table, (*path, "table"), catalogue) if chosen.table is not None else None
    if isinstance(owner, Problem):
        yield owner
    elif owner is not None and name not in owner.columns:
        what = f"{owner.full_name} has no column {shown(name)}"
        yield Problem((*path, "colonne"), what, did_you_mean(name, owner.columns, otherwise=listed(owner.columns)))
    drawn = [t for t in tables if any(p.table == t.full_name for p in sheet.panels)]
    if not any(name in t.columns for t in drawn):
        known = sorted({c for t in drawn for c in t.columns})
        yield Problem((*path, "colonne"), f"no panel's table has a column {shown(name)}", did_you_mean(name, known))
    others = [f.title for f in sheet.filters if f.kind == "valeurs" and f.title != chosen.title]
    for i, title in enumerate(chosen.within):
        if title not in others:
            remedy = did_you_mean(title, others, otherwise=f"filters: {listed(others)}" if others else "there is no other filter of values")
            yield Problem((*path, "selon", i), f"no filter of values is called {shown(title)}", remedy)
    if chosen.is_single and isinstance(chosen.default, tuple) and len(chosen.default) > 1:
        yield Problem((*path, "defaut"), "holds several values, and one alone may be chosen", "keep one, or leave un_seul out")


def _period(chosen: Filter, path: KeyPath, sheet: Sheet) -> Iterator[Problem]:
    for key, value in (("selon", chosen.within), ("table", chosen.table), ("un_seul", chosen.is_single)):
        if value:
            yield Problem((*path, key), "a filter of period has none", "leave it out")
    if all(p.time is None for p in sheet.panels):
        yield Problem(path, "no panel has a time: this filter would do nothing", "write temps in the panels that have one")
    default = chosen.default
    if default is None:
        return
    if not isinstance(default, str):
        yield Problem((*path, "defaut"), "a period is one range", f"for instance {next(iter(PERIODS))}")
    elif default not in PERIODS and not _RANGE.fullmatch(default):
        yield Problem((*path, "defaut"), f"is no period: {shown(default)}", did_you_mean(default, PERIODS, otherwise=listed(PERIODS)))
    elif default == "tout" and any(p.compare is not None for p in sheet.panels):
        yield Problem((*path, "defaut"), "figures are compared, and all of time has nothing before it", "write 12 derniers mois")


def _circles(filters: Sequence[Filter]) -> Iterator[Problem]:
    within = {f.title: f.within for f in filters}
    for i, chosen in enumerate(filters):
        seen: set[str] = set()
        ahead = list(chosen.within)
        while ahead:
            title = ahead.pop()
            if title == chosen.title:
                yield Problem(("filtres", i, "selon"), "narrows itself, through others", "let the finer depend on the coarser alone")
                break
            if title not in seen:
                seen.add(title)
                ahead += within.get(title, ())
