"""A sheet: one dashboard, as it is designed with a business service.

Here: its shape, in the French words of its YAML. Not here: reading a file and saying which line is wrong (`load`), whether tables, columns
and measures exist (`catalogue`), how Superset draws it (`dashboards.compiler`).

A sheet draws on published tables (`core`, `indicators`, `open_data`), their columns, and their measures: a measure is defined beside its
model (`meta.metrics`), never in a sheet. Titles are questions.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["analyste", "referent", "pcc", "visiteur"]
ROLES: Final[tuple[Role, ...]] = ("analyste", "referent", "pcc", "visiteur")

Kind = Literal[
    "chiffre", "courbe", "barres", "classement", "repartition", "tableau", "croise", "chaleur", "carte_communes", "carte_points", "texte"
]

# Superset lays a dashboard out in twelve columns.
COLUMNS: Final = 12
Color = Literal["vert", "orange", "rouge", "gris", "bleu"]
# What `comparer` says of a figure: the period before, the same period a year before, a target written in the sheet's thresholds.
Comparison = Literal["periode_precedente", "annee_precedente"]
Grain = Literal["heure", "jour", "semaine", "mois", "trimestre", "annee"]

# One day past today: ranges end before their end, and what happened today counts.
_TOMORROW: Final = "DATEADD(DATETIME('today'), 1, day)"
# The periods a sheet may start with, in words; each as Superset writes it. Those that may be compared have a start and an end. Ranges of
# months start on tomorrow's day of the month: whatever the day, twelve months hold the first of twelve months.
PERIODS: Final[dict[str, str]] = {
    "aujourd'hui": f"DATETIME('today') : {_TOMORROW}",
    "24 dernières heures": "DATEADD(DATETIME('now'), -24, hour) : DATETIME('now')",
    "7 derniers jours": f"DATEADD(DATETIME('today'), -6, day) : {_TOMORROW}",
    "14 derniers jours": f"DATEADD(DATETIME('today'), -13, day) : {_TOMORROW}",
    "30 derniers jours": f"DATEADD(DATETIME('today'), -29, day) : {_TOMORROW}",
    "90 derniers jours": f"DATEADD(DATETIME('today'), -89, day) : {_TOMORROW}",
    "3 derniers mois": f"DATEADD({_TOMORROW}, -3, month) : {_TOMORROW}",
    "6 derniers mois": f"DATEADD({_TOMORROW}, -6, month) : {_TOMORROW}",
    "12 derniers mois": f"DATEADD({_TOMORROW}, -12, month) : {_TOMORROW}",
    "24 derniers mois": f"DATEADD({_TOMORROW}, -24, month) : {_TOMORROW}",
    "cette semaine": "Current week",
    "ce mois": "Current month",
    "ce trimestre": "Current quarter",
    "cette année": "Current year",
    "semaine dernière": "previous calendar week",
    "mois dernier": "previous calendar month",
    "trimestre dernier": "previous calendar quarter",
    "année dernière": "previous calendar year",
    "tout": "No filter",
}
# What a sheet without a filter of period is compared over.
USUAL_PERIOD: Final = "12 derniers mois"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Threshold(_Strict):
    """A colour from a value on, in the measure's unit.

    Attributes:
        start: the first value it holds for (`a_partir_de`); None: from the lowest.
        color: `vert`, `orange`, `rouge`, `gris`, `bleu`.
        reason: why there, in a few words people read (contract, regulation, habit).
    """

    start: float | None = Field(default=None, alias="a_partir_de")
    color: Color = Field(alias="couleur")
    reason: str = Field(alias="raison", min_length=3)


class Condition(_Strict):
    """Rows a panel keeps: `colonne` among `valeurs` (or not: `sauf`), or within bounds.

    A value `null` means that nothing is written there.
    """

    column: str = Field(alias="colonne")
    values: tuple[str | int | float | bool | None, ...] = Field(default=(), alias="valeurs")
    excepted: tuple[str | int | float | bool | None, ...] = Field(default=(), alias="sauf")
    at_least: float | None = Field(default=None, alias="au_moins")
    at_most: float | None = Field(default=None, alias="au_plus")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.values and not self.excepted and self.at_least is None and self.at_most is None:
            raise ValueError("say which rows: valeurs, sauf, au_moins or au_plus")
        return self


class Panel(_Strict):
    """One panel: a question, and the answer drawn from one published table.

    Attributes:
        title: the question it answers (`titre`).
        kind: how it is drawn (`genre`).
        table: `schema.table`; None for `texte` alone.
        measures: measures of the table (`mesures`), by name.
        by: columns it is broken down by (`par`): series of a curve, bars, slices, rows of a crossed table.
        across: columns of a crossed table or heat map (`en_colonnes`).
        columns: the columns shown as they are (`colonnes`): rows of a `tableau` without measures, the tooltip of points.
        time: the column that is its time (`temps`), a date or an instant; None: it has none, and the period filter leaves it alone.
        grain: the step of its time axis (`pas`).
        compare: what a figure is compared with (`comparer`).
        target: the value to reach, in the measure's unit (`cible`); a line on curves, a gap on figures.
        thresholds: colours by value (`seuils`), lowest first.
        where: rows kept (`ou`).
        order: measure or column that orders it, descending; `-name` ascending (`trier_par`).
        limit: the most rows, bars or series (`limite`).
        is_stacked: bars one upon the other (`empile`).
        width: of twelve columns (`largeur`).
        height: in units of some 8 pixels (`hauteur`).
        text: of a `texte` panel: Markdown (`texte`).
        may_be_empty: why nothing may be the good answer (`peut_etre_vide`); None: an empty panel is a fault.
        help: a sentence beyond the measures' own descriptions (`aide`): how to read it, what to beware of.
    """

    title: str = Field(alias="titre", min_length=3, max_length=120)
    kind: Kind = Field(alias="genre")
    table: str | None = Field(default=None, pattern=r"^(core|indicators|open_data)\.[a-z0-9_]+$")
    measures: tuple[str, ...] = Field(default=(), alias="mesures")
    by: tuple[str, ...] = Field(default=(), alias="par")
    across: tuple[str, ...] = Field(default=(), alias="en_colonnes")
    columns: tuple[str, ...] = Field(default=(), alias="colonnes")
    time: str | None = Field(default=None, alias="temps")
    grain: Grain | None = Field(default=None, alias="pas")
    compare: Comparison | None = Field(default=None, alias="comparer")
    target: float | None = Field(default=None, alias="cible")
    thresholds: tuple[Threshold, ...] = Field(default=(), alias="seuils")
    where: tuple[Condition, ...] = Field(default=(), alias="ou")
    order: str | None = Field(default=None, alias="trier_par")
    limit: int = Field(default=100, ge=1, le=10_000, alias="limite")
    is_stacked: bool = Field(default=False, alias="empile")
    width: int = Field(default=6, ge=2, le=COLUMNS, alias="largeur")
    height: int | None = Field(default=None, ge=8, le=150, alias="hauteur")
    text: str | None = Field(default=None, alias="texte")
    may_be_empty: str | None = Field(default=None, alias="peut_etre_vide", min_length=3)
    help: str | None = Field(default=None, alias="aide")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.kind == "texte":
            if self.text is None or self.table is not None:
                raise ValueError("a panel of kind texte has a texte, and no table")
            return self
        if self.table is None:
            raise ValueError("name the table it draws on: table: indicators.…")
        if self.kind != "tableau" and not self.measures:
            raise ValueError(f"a panel of kind {self.kind} needs mesures")
        if self.kind == "tableau" and not (self.columns or self.measures):
            raise ValueError("a tableau needs colonnes (rows as they are) or mesures (with par)")
        if self.kind == "chiffre" and len(self.measures) != 1:
            raise ValueError("a chiffre shows one measure")
        if self.kind == "courbe" and (self.time is None or self.grain is None):
            raise ValueError("a courbe needs temps and pas")
        if self.kind in {"classement", "repartition", "carte_communes", "carte_points"} and not self.by:
            raise ValueError(f"a panel of kind {self.kind} needs par")
        if self.kind in {"croise", "chaleur"} and not (self.by and self.across):
            raise ValueError(f"a panel of kind {self.kind} needs par and en_colonnes")
        if self.compare is not None and self.time is None:
            raise ValueError("comparer needs temps: periods are compared")
        return self


class Filter(_Strict):
    """A filter of the whole dashboard: the period, or the values of a column.

    It holds for every panel whose table has the column.

    Attributes:
        title: what people read (`titre`).
        kind: `periode`, or `valeurs` of a column.
        column: the column, of the same name in each table it filters (`colonne`).
        table: where the choices are read; None: the first table of the sheet that has the column.
        within: the titles of filters that narrow the choices (`selon`): the streets of the commune that was chosen.
        default: what it starts with (`defaut`): of a period one of `PERIODS`, or `2025-01-01 : 2026-01-01`; else values.
        is_single: one value at a time (`un_seul`).
    """

    title: str = Field(alias="titre", min_length=2, max_length=60)
    kind: Literal["periode", "valeurs"] = Field(alias="genre")
    column: str | None = Field(default=None, alias="colonne")
    table: str | None = Field(default=None, pattern=r"^(core|indicators|open_data)\.[a-z0-9_]+$")
    within: tuple[str, ...] = Field(default=(), alias="selon")
    default: str | tuple[str, ...] | None = Field(default=None, alias="defaut")
    is_single: bool = Field(default=False, alias="un_seul")

    @model_validator(mode="after")
    def _has_its_column(self) -> Self:
        if (self.kind == "valeurs") != (self.column is not None):
            raise ValueError("a filter of kind valeurs names its colonne, a periode none")
        return self


class Tab(_Strict):
    """A tab: a few panels that answer together.

    Attributes:
        title: what people read (`titre`).
        intro: one sentence above the panels; None: none.
        panels: in the order they are read, filling rows of twelve columns (`panneaux`).
    """

    title: str = Field(alias="titre", min_length=2, max_length=40)
    intro: str | None = None
    panels: Annotated[tuple[Panel, ...], Field(min_length=1)] = Field(alias="panneaux")


class Sheet(_Strict):
    """One dashboard.

    Attributes:
        title: what people read (`titre`).
        rank: its place in the list of dashboards (`rang`), from 1.
        audience: for whom it was made (`pour`): the service, and what it does with it.
        roles: who may open it (`ouvert_a`).
        questions: what they ask.
        decisions: what they decide with the answers.
        owner: who answers for it (`responsable`): a service.
        designed_on: the day it was last agreed with the service (`convenu_le`), YYYY-MM-DD.
        is_by_authority: whether an analyst of one authority may open it (`par_collectivite`); false where rows belong to no one authority.
        filters: of the whole dashboard (`filtres`).
        tabs: its tabs (`onglets`); one that explains the measures is added to them.
    """

    title: str = Field(alias="titre", min_length=3, max_length=80)
    rank: int = Field(alias="rang", ge=1)
    audience: str = Field(alias="pour", min_length=10)
    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = Field(alias="ouvert_a")
    questions: Annotated[tuple[str, ...], Field(min_length=1)]
    decisions: Annotated[tuple[str, ...], Field(min_length=1)]
    owner: str = Field(alias="responsable", min_length=3)
    designed_on: str = Field(alias="convenu_le", pattern=r"^\d{4}-\d{2}-\d{2}$")
    is_by_authority: bool = Field(default=True, alias="par_collectivite")
    filters: tuple[Filter, ...] = Field(default=(), alias="filtres")
    tabs: Annotated[tuple[Tab, ...], Field(min_length=1)] = Field(alias="onglets")

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Every panel of every tab."""
        return tuple(panel for tab in self.tabs for panel in tab.panels)

    @property
    def tables(self) -> tuple[str, ...]:
        """The published tables it draws on, each once, in the order they first appear."""
        named = [p.table for p in self.panels] + [f.table for f in self.filters]
        return tuple(dict.fromkeys(t for t in named if t is not None))
