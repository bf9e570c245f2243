"""Which canonical contract a file most likely fits, and which column fills which canonical column.

Here: the choice, from names (`draft_names`) and values (`draft_values`). Not here: writing it down (`draft_write`).
What cannot be known is a placeholder, which `vigie feeds check` asks for.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Final

import dataframely as dy

from ingestion.contracts.canonical import CONTRACTS
from ingestion.contracts.units import COLUMN_UNITS, UNITS
from ingestion.feeds.draft_names import ROLES, rank, slug, unit_in, words
from ingestion.feeds.draft_values import Profile, usual_step
from ingestion.feeds.load_problem import PLACEHOLDERS

TO_COMPLETE: Final = PLACEHOLDERS[0]

# Under 4 no two signs of a contract came together.
_CONVINCING: Final = 4
# A status is one of a few; past a dozen values it is a label or a text.
_FEW: Final = 12


@dataclass(frozen=True)
class Target:
    """One line of the mapping: how a canonical column is filled, and what the integrator should look at."""

    name: str
    how: dict[str, str | list[str]]
    comment: str | None = None


@dataclass(frozen=True)
class MeasureLine:
    """One line of measures."""

    how: dict[str, str | bool]
    comment: str | None = None


@dataclass
class Suggestion:
    """A proposed contract for a file."""

    contract: str
    targets: list[Target] = field(default_factory=list)
    measures: list[MeasureLine] = field(default_factory=list)
    why: str = ""


def suggest(profiles: list[Profile], *, contract: str | None, hint: str) -> Suggestion:
    """Propose a contract and its mapping.

    Args:
        profiles: the file's columns.
        contract: the canonical contract, when the integrator says it.
        hint: the file's name.
    """
    filled = [p for p in profiles if p.filled]
    if contract is None:
        scores = {name: _score(name, filled, hint) for name in CONTRACTS}
        contract = max(scores, key=lambda name: scores[name])
        weak = "" if scores[contract] >= _CONVINCING else "weak "
        others = sorted((n for n in scores if n != contract), key=lambda n: -scores[n])
        why = f"a {weak}guess; else {', '.join(others)}"
    else:
        why = ""
    chooser = _Chooser(contract, filled, hint)
    return Suggestion(contract, chooser.targets(), chooser.measures() if contract == "observation" else [], why)


def _score(contract: str, profiles: list[Profile], hint: str) -> int:
    """How well columns fit a contract; tried on the public files named in docs/real-data.md."""

    def has(column: str, *, best: int = 9) -> bool:
        return any((r := rank(contract, column, p.name)) is not None and r <= best and _fits(contract, column, p) for p in profiles)

    instants = [p for p in profiles if p.is_instant]
    numbers = [p for p in profiles if p.is_number and not _is_place(p) and not _is_code(p)]
    # An identifier of equipment that never comes back: each row is one piece of it, not one measure.
    is_inventory = any(p.is_unique and rank("asset", "asset_ref", p.name) == 0 for p in profiles)
    spoken = words(" ".join([hint, *(p.name for p in profiles)]))
    match contract:
        case "report":
            told = bool(
                re.search(r"_(311|sf311|nyc311|dmr|case|complaint|request|signalement\w*|reclamation\w*|plainte\w*|descriptor)_", spoken)
            )
            return (
                (3 if has("opened_at", best=1) else 1 if instants else -9)
                + 2 * has("category")
                + 2 * told
                + has("closed_at")
                + has("status")
            )
        case "intervention":
            told = bool(re.search(r"_(chantiers?|travaux|interventions?|work_?orders?|bon_de_travail|panne|maintenance)_", spoken))
            return (6 if told else -3) + (has("requested_at") + has("restored_at") if instants else -9)
        case "asset":
            placed = (has("longitude") and has("latitude")) or has("geometry") or any(p.type == "geojson" for p in profiles)
            lives = [p for p in instants if rank("asset", "installed_on", p.name) is None and rank("asset", "effective_at", p.name) is None]
            signs = has("rated_power_w") + has("installed_on") + has("name") + has("parent_ref") + has("model")
            return 4 * placed + (2 if not lives else -min(2, len(lives))) + (2 if is_inventory else 0) + signs
        case "energy_reading":
            stated = any(_is_energy(p) for p in numbers) or (has("meter_ref", best=0) and has("energy_wh"))
            return -9 if not instants else 7 if stated else 4 if has("energy_wh") and len(numbers) <= 2 else -3  # noqa: PLR2004 - few numbers
        case _:
            if not instants:
                return -5
            return 2 + 2 * bool(numbers) + (len(numbers) > len(profiles) / 3) + has("asset_ref") - 2 * is_inventory


def _is_energy(profile: Profile) -> bool:
    unit = unit_in(profile.name)
    return unit is not None and UNITS[unit].canonical == "W.h"


def _is_place(profile: Profile) -> bool:
    return any(rank("asset", c, profile.name) is not None for c in ("longitude", "latitude")) or profile.name in ("_x", "_y")


def _is_code(profile: Profile) -> bool:
    """Whether whole numbers are more likely names of things than measures of them."""
    spelled = words(profile.name)
    return profile.type == "integer" and bool(
        re.search(r"_(id|fid|oid|objectid|code|num\w*|insee|zip|annee|year|mois|month|index|rank|cp|code_postal)_", spelled)
    )


def _fits(contract: str, column: str, profile: Profile) -> bool:
    kind = CONTRACTS[contract].schema.columns()[column]
    match kind:
        case dy.Datetime() | dy.Date():
            return profile.is_instant
        case dy.Float64():
            return profile.is_number
        case dy.Bool():
            return profile.type == "boolean"
    if column == "geometry":
        return profile.type == "geojson"
    return not profile.is_instant and profile.type not in ("number", "time", "geojson")


class _Chooser:
    """Fills canonical columns, each source column once."""

    def __init__(self, contract: str, profiles: list[Profile], hint: str) -> None:
        self.contract = CONTRACTS[contract]
        self.profiles = profiles
        self.hint = hint
        self.used: set[str] = set()

    def targets(self) -> list[Target]:
        columns = [*self.contract.required, *(c for c in ROLES[self.contract.name] if c not in self.contract.required)]
        found: list[Target] = []
        for column in columns:
            if self.contract.name == "observation" and column == "property":
                continue
            target = self._special(column) or self._plain(column)
            if target is not None:
                found.append(target)
        order = list(self.contract.columns)
        return sorted(found, key=lambda t: order.index(t.name))

    def _special(self, column: str) -> Target | None:
        name = self.contract.name
        if column == "end_at" and name == "energy_reading":
            return self._end()
        if name == "asset" and column == "asset_type" and not self._candidates(column):
            return Target(
                column, {"constant": TO_COMPLETE}, "one type for all: light-point, cabinet, car-park…; or the column that says it"
            )
        if name == "asset" and column == "asset_ref" and not [p for p in self._candidates(column) if p.is_unique]:
            return self._made_reference()
        if name == "asset" and column == "geometry":
            shape = next((p for p in self.profiles if p.type == "geojson" and p.name != "_geometry"), None)
            return Target(column, {"column": shape.name}, None) if shape is not None else None
        if column in ("longitude", "latitude") and any(p.name == f"_{column}" for p in self.profiles):
            return Target(column, {"column": f"_{column}"}, None)
        if column == self.contract.event_time or (column in self.contract.required and column.endswith("_at")):
            return self._joined_instant(column)
        if column in ("longitude", "latitude") and not self._candidates(column):
            return self._position(column)
        return None

    def _position(self, column: str) -> Target | None:
        """A position written as one text."""
        found = next((p for p in self.profiles if p.position is not None), None)
        if found is None or found.position is None:
            return None
        pattern = found.position[column == "latitude"]
        sql = f"TRY_CAST(regexp_extract({_identifier(found.name)}, '{pattern}', 1) AS DOUBLE)"
        return Target(column, {"sql": sql}, "taken out of a text")

    def _plain(self, column: str) -> Target | None:
        candidates = self._candidates(column)
        is_required = column in self.contract.required
        if not candidates:
            return self._unknown(column) if is_required else None
        chosen = candidates[0]
        self.used.add(chosen.name)
        how: dict[str, str | list[str]] = {"column": chosen.name}
        comments: list[str] = []
        if column in COLUMN_UNITS and column not in ("longitude", "latitude"):
            unit = unit_in(chosen.name)
            fits = unit is not None and UNITS[unit].canonical == UNITS[COLUMN_UNITS[column]].canonical
            how["unit"] = str(unit) if fits else TO_COMPLETE
            comments.append(
                "unit from the column's name: right?"
                if fits
                else f"UCUM unit of the source (docs/units.md): {COLUMN_UNITS[column]}, k{COLUMN_UNITS[column]}…"
            )
        if column in self.contract.key and column.endswith("_ref") and column == self.contract.key[0] and len(self.contract.key) == 1:
            repeats = chosen.filled - chosen.distinct
            comments.append(
                "unique in the file"
                if chosen.is_unique
                else f"{repeats:,} repeats: is it the key? Rows of one key are revisions of one record"
            )
        others = [p.name for p in candidates[1:4]]
        if others:
            comments.append(f"or {', '.join(others)}")
        return Target(column, how, "; ".join(comments) or None)

    def _candidates(self, column: str) -> list[Profile]:
        is_key = column == self.contract.key[0]
        ranked: list[tuple[tuple[float, ...], Profile]] = []
        for i, p in enumerate(self.profiles):
            place = rank(self.contract.name, column, p.name)
            if place is None or p.name in self.used or not _fits(self.contract.name, column, p):
                continue
            single_key = is_key and len(self.contract.key) == 1
            if is_key and p.filled < p.rows / 2:  # a key that is missing is no key
                continue
            if is_key and not single_key and p.is_unique and p.rows > _FEW:
                continue  # what is observed comes back
            if column in ("category", "status", "asset_type") and p.distinct > max(_FEW, p.rows / 3):
                continue
            if column in ("longitude", "latitude") and (not p.numbers or max(map(abs, p.numbers)) > 180):  # noqa: PLR2004 - degrees
                continue
            # A position that a twentieth of the rows share is the middle of a district.
            is_coarse = column in ("longitude", "latitude") and p.distinct < p.rows / 20
            ranked.append(
                (
                    (
                        float(is_key and p.filled < p.rows * 0.95),
                        float(single_key and not p.is_unique),
                        float(is_coarse),
                        float(place),
                        float(p.type == "date"),
                        float(p.filled < p.rows / 2),
                        i,
                    ),
                    p,
                )
            )
        return [p for _, p in sorted(ranked, key=lambda r: r[0])]

    def _unknown(self, column: str) -> Target:
        if column in ("asset_ref", "meter_ref"):
            return Target(column, {"constant": TO_COMPLETE}, "no column tells which: name the only one there is, or write column: …")
        return Target(column, {"column": TO_COMPLETE}, "no column looks like it")

    def _joined_instant(self, column: str) -> Target | None:
        """A date in one column and its time in another."""
        candidates = self._candidates(column) or [p for p in self.profiles if p.is_instant and p.name not in self.used]
        if not candidates:
            return None
        day = candidates[0]
        hour = next((p for p in self.profiles if p.type == "time"), None)
        if day.type == "date" and hour is not None:
            self.used |= {day.name, hour.name}
            patterns = [f"{d} {hour.formats[0]}" for d in day.formats or ["%Y-%m-%d"]]
            how: dict[str, str | list[str]] = {
                "sql": f"{_identifier(day.name)} || ' ' || {_identifier(hour.name)}",
                "format": patterns[0] if len(patterns) == 1 else patterns,
            }
            return Target(column, how, "date and time stand in two columns")
        if self._candidates(column):
            return None
        self.used.add(day.name)
        return Target(column, {"column": day.name}, "the only date there is: right?")

    def _end(self) -> Target:
        start = next((p for p in self.profiles if p.is_instant and rank("energy_reading", "start_at", p.name) is not None), None)
        start = start or next((p for p in self.profiles if p.is_instant), None)
        step = usual_step(start.instants) if start is not None else None
        if start is None or step is None:
            return Target("end_at", {"column": TO_COMPLETE}, "the column of the end, or {column: the start's, offset: PT30M}")
        hour = next((p for p in self.profiles if p.type == "time"), None)
        if start.type == "date" and hour is not None:
            return Target("end_at", {"sql": TO_COMPLETE}, "as start_at, with offset: the length of an interval (PT30M)")
        comment = "most rows are that far apart; if the source stamps the end: offset -… on start_at, none here"
        return Target("end_at", {"column": start.name, "offset": _iso(step)}, comment)

    def _made_reference(self) -> Target:
        """A stable identifier where the source has none: where the asset stands."""
        prefix = slug(self.hint)
        names = {p.name for p in self.profiles}
        if {"_x", "_y"} <= names:
            rank_there = "row_number() OVER (PARTITION BY round(_x, 1), round(_y, 1) ORDER BY _x, _y)"
            sql = f"format('{prefix}-{{:.1f}}-{{:.1f}}', _x, _y) || '-' || {rank_there}"
            return Target("asset_ref", {"sql": sql}, "no identifier: made of the position, to 10 cm; an asset that moves becomes another")
        place = [next((p.name for p in self._candidates(c)), None) for c in ("longitude", "latitude")]
        if None not in place:
            sql = f"concat_ws('_', '{prefix}', {', '.join(_identifier(str(p)) for p in place)})"
            return Target("asset_ref", {"sql": sql}, "no column is unique: made of the position; an asset that moves becomes another")
        best = self._candidates("asset_ref")
        if best:
            return Target(
                "asset_ref",
                {"column": best[0].name},
                f"{best[0].filled - best[0].distinct:,} repeats: rows of one key are revisions of one asset",
            )
        return Target("asset_ref", {"column": TO_COMPLETE}, "the column that identifies an asset for good")

    def measures(self) -> list[MeasureLine]:
        lines: list[MeasureLine] = []
        taken: set[str] = set()
        for p in self.profiles:
            if p.name in self.used or _is_place(p) or _is_code(p) or p.name == "_1":
                continue
            if p.is_number:
                unit = "1" if set(p.numbers) <= {0.0, 1.0} else unit_in(p.name)
                how: dict[str, str | bool] = {"column": p.name, "property": _property(p.name, taken), "unit": unit or TO_COMPLETE}
                lines.append(MeasureLine(how, _measured(p, unit)))
            elif (
                p.type == "string" and p.distinct <= _FEW and re.search(r"_(etat|state|status|statut|mode|alarm\w*|alerte)_", words(p.name))
            ):
                lines.append(MeasureLine({"column": p.name, "property": _property(p.name, taken), "text": True}, ", ".join(p.examples)))
        return lines


def _measured(p: Profile, unit: str | None) -> str:
    """Say what a measure's column holds: its range, in the unit in which bounds are written, and what is odd about it."""
    if set(p.numbers) <= {0.0, 1.0}:
        return "0 or 1: a flag"
    least, most = min(p.numbers), max(p.numbers)
    said = [", ".join(p.examples) if p.distinct <= 3 else f"{least:g} to {most:g}"]  # noqa: PLR2004 - few are told
    if unit is not None:
        lake = UNITS[unit]
        said[0] += f" {unit}"
        if not lake.is_identity:
            ends = sorted(v * lake.factor + lake.offset for v in (least, most))
            said[0] += f" = {ends[0]:g} to {ends[1]:g} {lake.canonical}, the unit of minimum and maximum"
        said.append("unit from the column's name: right?")
    if p.is_cumulative:
        said.append("only ever grows down the file: a counter? Then its values are not to be summed")
    return "; ".join(said)


def _property(name: str, taken: set[str]) -> str:
    """Return a property's name that is not taken yet: without brackets (a unit, a remark), unit or statistic at its end."""
    # dBase writes its types into the names: TJM,N,19,8.
    bare = re.sub(r"[(\[].*?[)\]]|,[A-Z](,\d+)*$", " ", name).strip() or name
    if unit_in(bare) is not None:
        bare = re.sub(r"[_\s.]+[^_\s.]+$", "", bare)
    bare = re.sub(r"(?<=\w)[_\s.]*(RMS|(?<=[_\s.])(?i:rms|mean|avg|average|moy|moyenne))$", "", bare)
    short = slug(bare, separator="_")
    candidates = (short, slug(name, separator="_"), *(f"{short}_{n}" for n in range(2, len(taken) + 3)))
    chosen = next(c for c in candidates if c not in taken)
    taken.add(chosen)
    return chosen


def _identifier(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _iso(step: dt.timedelta) -> str:
    seconds = int(step.total_seconds())
    if seconds % 86_400 == 0:
        return f"P{seconds // 86_400}D"
    return f"PT{seconds // 60}M" if seconds % 60 == 0 else f"PT{seconds}S"
