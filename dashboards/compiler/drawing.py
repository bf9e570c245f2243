"""What every kind of panel shares: what it is drawn from, and the chart that comes of it.

Here: measures, axes and rows of a panel, ready for the kinds. Not here: the kinds themselves (`figures`, `curves`, `grids`, `maps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from dashboards.compiler import looks
from dashboards.compiler.datasets import Words
from dashboards.compiler.rows import Rows, rows
from dashboards.sheets.catalogue import Measure, Table
from dashboards.sheets.model import PERIODS, USUAL_PERIOD, Panel

# The most rows a chart asks for: SQL_MAX_ROW is ten times this; a page shows no more.
MOST_ROWS: Final = 10_000
# Characters of an axis title that the height of a chart holds; a longer one would be cut.
_LONGEST_AXIS: Final = 36


@dataclass(frozen=True)
class Place:
    """Where a map opens before its data fits it: degrees, and the zoom of web maps."""

    longitude: float = 2.5
    latitude: float = 46.6
    zoom: float = 5.0


@dataclass(frozen=True)
class Drawing:
    """A chart: how Superset draws it (`viz_type`, `params`) and what it asks for (`query`)."""

    viz_type: str
    params: dict[str, Any]
    query: dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """A panel with what it draws on.

    Attributes:
        panel: the panel, of any kind but `texte`.
        table: its table.
        words: by column name, the French word of each code.
        period: the range the dashboard starts with, in Superset's writing; None: all of time.
        place: where maps open.
    """

    panel: Panel
    table: Table
    words: Words = field(default_factory=dict)
    period: str | None = None
    place: Place = Place()

    @cached_property
    def rows(self) -> Rows:
        """The rows it keeps. What is compared needs a start and an end, even where the dashboard has no filter of period."""
        is_compared = self.panel.compare is not None
        return rows(self.panel, self.table, self.words, period=(self.period or PERIODS[USUAL_PERIOD]) if is_compared else "No filter")

    @property
    def measures(self) -> list[Measure]:
        """Its measures, in the sheet's order."""
        return [self.table.measures[name] for name in self.panel.measures]

    @property
    def measure(self) -> Measure:
        """Its first measure."""
        return self.table.measures[self.panel.measures[0]]

    @property
    def number(self) -> str:
        """The format of its measures: as many decimals as the one that has most."""
        return looks.number(max((m.decimals for m in self.measures), default=0))

    @property
    def axis(self) -> str:
        """The title of the axis its measures share: of one its label and unit, of several, or where that is too long, the unit."""
        title = looks.titled(self.measure.label, self.measure.unit)
        return title if len(self.measures) == 1 and len(title) <= _LONGEST_AXIS else looks.unit_of(self.measure)

    @property
    def shifts(self) -> list[str]:
        """What it is compared with, as Superset writes it."""
        return [] if self.panel.compare is None else [looks.SHIFTS[self.panel.compare]]

    @property
    def order(self) -> tuple[str, bool]:
        """What it is ordered by, and whether upwards: the sheet's order, else its first measure or column downwards."""
        said = self.panel.order
        if said is None:
            return (self.panel.measures[0], False)
        return (said.removeprefix("-"), said.startswith("-"))

    def title(self, column: str) -> str:
        """Return the title of a column, with its unit."""
        found = self.table.columns[column]
        return looks.titled(found.label, found.unit)

    def time_axis(self, column: str) -> dict[str, Any]:
        """Return a column as the axis of a chart: a time at the panel's step, anything else as it is."""
        axis: dict[str, Any] = {"columnType": "BASE_AXIS", "expressionType": "SQL", "label": column, "sqlExpression": column}
        if self.panel.grain is not None and self.table.columns[column].is_time:
            axis["timeGrain"] = looks.STEPS[self.panel.grain]
        return axis

    def drawing(self, viz_type: str, params: dict[str, Any], *, columns: Sequence[Any] = (), **query: Any) -> Drawing:
        """Return the chart: what all kinds share, then what this kind says."""
        panel = self.panel
        step = {} if panel.grain is None else {"time_grain_sqla": looks.STEPS[panel.grain]}
        shared: dict[str, Any] = {
            "viz_type": viz_type,
            "adhoc_filters": self.rows.saved,
            "color_scheme": looks.PALETTE,
            "row_limit": panel.limit,
            "extra_form_data": {},
            **step,
        }
        if panel.time is not None:
            shared["granularity_sqla"] = panel.time
        asked: dict[str, Any] = {
            "filters": self.rows.filters,
            "extras": {"where": self.rows.where, "having": "", **step},
            "columns": list(columns),
            "metrics": list(panel.measures),
            "orderby": [],
            "row_limit": panel.limit,
            "row_offset": 0,
            "annotation_layers": [],
            "series_limit": 0,
            "order_desc": True,
            "time_offsets": [],
            "post_processing": [],
        }
        return Drawing(viz_type, {**shared, **params}, {**asked, **query})
