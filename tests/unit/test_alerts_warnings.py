"""Warnings come in force, change and end as their messages say, each once, whatever the feed repeats."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.formats.cap import decode
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_values import instant
from orchestration.alerts.engine.warnings import Warnings, WarningState
from orchestration.alerts.model import Observed

HOUR = 3_600_000_000
DAY = 24 * HOUR


def at(text: str) -> int:
    found = instant(text)
    assert found is not None
    return found


NOON = at("2026-11-22T12:00:00+01:00")


def alert(
    ident: str,
    *,
    kind: str = "Alert",
    severity: str = "Severe",
    sent: str = "2026-11-22T12:00:00+01:00",
    onset: str = "2026-11-22T18:00:00+01:00",
    expires: str | None = "2026-11-23T06:00:00+01:00",
    refs: tuple[str, ...] = (),
    headline: str = "Vent violent ce soir",
    area: str = "FR018",
    extra: str = "",
) -> bytes:
    references = f"<references>{' '.join(f'v@example.org,{r},2026-11-22T06:00:00+01:00' for r in refs)}</references>" if refs else ""
    end = f"<expires>{expires}</expires>" if expires else ""
    return f"""<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
      <identifier>{ident}</identifier><sender>v@example.org</sender><sent>{sent}</sent>
      <status>Actual</status><msgType>{kind}</msgType><scope>Public</scope>{references}
      <info><language>fr-FR</language><category>Met</category><event>Vent violent</event>{extra}
        <urgency>Future</urgency><severity>{severity}</severity><certainty>Likely</certainty>
        <onset>{onset}</onset>{end}<headline>{headline}</headline><instruction>Rentrez vos pots</instruction>
        <area><areaDesc>Aube</areaDesc><geocode><valueName>EMMA_ID</valueName><value>{area}</value></geocode></area>
      </info></alert>""".encode()


def rows(payload: bytes, published_at: int) -> list[Observed]:
    """Return what the real decoder makes of a message."""
    batch = WireBatch()
    decode(payload, batch, after=0, received_at=None, options=WireOptions())
    assert not batch.rejects
    return [
        Observed(
            "vigilance-cap", "vigilance", o.asset_ref, o.property, o.observed_at, o.value, o.value_text, o.unit, published_at, o.message_id
        )
        for o in batch.observations
    ]


def say(warnings: Warnings, payload: bytes, published_at: int) -> list[WarningState]:
    found = warnings.advance(published_at)
    for row in rows(payload, published_at):
        found += warnings.take(row)
    return found + warnings.advance(published_at + 1)


def short(states: list[WarningState]) -> list[tuple[int, int, bool, bool]]:
    return [(s.at, s.level, s.was_active, s.cancelled) for s in states]


def test_a_warning_is_told_ahead_and_expires() -> None:
    warnings = Warnings(2, 2 * HOUR)
    assert say(warnings, alert("a1"), NOON) == []  # its onset is at 18:00: four hours too early
    assert warnings.next_due == NOON + 4 * HOUR
    (told,) = warnings.advance(NOON + 5 * HOUR)  # fired late, dated when it was due
    assert told == WarningState(
        NOON + 4 * HOUR,
        "vigilance-cap",
        "vigilance",
        "EMMA_ID:FR018",
        "vent_violent",
        3,
        was_active=False,
        headline="Vent violent ce soir",
        instruction="Rentrez vos pots",
        label="Vent violent",
        onset=NOON + 6 * HOUR,
        expires=NOON + 18 * HOUR,
        message_ids=("a1",),
    )
    assert warnings.next_due == NOON + 18 * HOUR
    assert short(warnings.advance(NOON + 18 * HOUR)) == [(NOON + 18 * HOUR, 0, True, False)]
    assert warnings.next_due is None


def test_a_message_counts_at_once_when_it_is_complete() -> None:
    warnings = Warnings(2, DAY)
    said = rows(alert("a1"), NOON)
    assert [s for row in said for s in (*warnings.take(row), *warnings.advance(NOON))] == []
    assert warnings.next_due == NOON + 1
    (told,) = warnings.advance(NOON + 1)
    assert (told.at, told.headline, told.level) == (NOON, "Vent violent ce soir", 3)
    assert warnings.advance(NOON + 2) == []


def test_the_next_message_completes_the_one_before() -> None:
    warnings = Warnings(2, DAY)
    for row in rows(alert("a1"), NOON):
        warnings.take(row)
    other = rows(alert("b1", area="FR019"), NOON + 5)
    assert short(warnings.take(other[0])) == [(NOON, 3, False, False)]


def test_an_update_is_one_step() -> None:
    warnings = Warnings(2, DAY)
    say(warnings, alert("a1"), NOON)
    worse = alert("a2", kind="Update", refs=("a1",), severity="Extreme", sent="2026-11-22T13:00:00+01:00", headline="Tempête")
    (told,) = say(warnings, worse, NOON + HOUR)
    assert short([told]) == [(NOON + HOUR, 4, True, False)]
    assert (told.headline, told.message_ids) == ("Tempête", ("a2",))
    longer = alert(
        "a3", kind="Update", refs=("a2",), severity="Extreme", headline="Tempête", expires="2026-11-23T09:00:00+01:00",
        sent="2026-11-22T20:00:00+01:00",
    )  # fmt: skip
    (told,) = say(warnings, longer, NOON + 8 * HOUR)
    assert (told.level, told.onset, told.expires) == (4, NOON + 6 * HOUR, NOON + 21 * HOUR)  # it began when it began
    assert warnings.advance(NOON + 18 * HOUR) == []
    assert short(warnings.advance(NOON + 21 * HOUR)) == [(NOON + 21 * HOUR, 0, True, False)]


def test_an_update_that_says_the_same_is_no_news_but_counts() -> None:
    warnings = Warnings(2, DAY)
    say(warnings, alert("a1"), NOON)
    assert say(warnings, alert("a2", kind="Update", refs=("a1",)), NOON + HOUR) == []
    assert short(say(warnings, alert("a3", kind="Cancel", refs=("a2",)), NOON + 2 * HOUR)) == [(NOON + 2 * HOUR, 0, True, True)]


def test_an_update_that_says_less_than_the_level_ends_it() -> None:
    warnings = Warnings(2, DAY)
    say(warnings, alert("a1"), NOON)
    assert short(say(warnings, alert("a2", kind="Update", refs=("a1",), severity="Minor"), NOON + HOUR)) == [(NOON + HOUR, 0, True, True)]


def test_an_update_that_leaves_an_area_out_ends_it_there() -> None:
    warnings = Warnings(2, DAY)
    say(warnings, alert("a1"), NOON)
    found = say(warnings, alert("a2", kind="Update", refs=("a1",), area="FR019"), NOON + HOUR)
    assert [(s.area, s.level, s.was_active) for s in found] == [("EMMA_ID:FR018", 0, True), ("EMMA_ID:FR019", 3, False)]


def test_a_cancelled_alert_stays_so_though_the_feed_repeats_it() -> None:
    warnings = Warnings(2, DAY)
    say(warnings, alert("a1"), NOON)
    assert say(warnings, alert("a1"), NOON + HOUR) == []  # repeated: no news
    say(warnings, alert("a2", kind="Cancel", refs=("a1",), sent="2026-11-22T13:00:00+01:00"), NOON + 2 * HOUR)
    assert say(warnings, alert("a1"), NOON + 3 * HOUR) == []
    assert say(warnings, alert("a1"), NOON + 4 * HOUR) == []
    assert warnings.next_due is None or warnings.advance(NOON + 20 * HOUR) == []


def test_a_cancellation_that_names_one_leaves_the_other() -> None:
    warnings = Warnings(2, DAY)
    say(warnings, alert("tonight"), NOON)
    say(
        warnings,
        alert("tomorrow", severity="Extreme", onset="2026-11-23T10:00:00+01:00", expires="2026-11-23T20:00:00+01:00", headline="Demain"),
        NOON + 1000,
    )
    (left,) = say(warnings, alert("c", kind="Cancel", refs=("tomorrow",), sent="2026-11-22T13:00:00+01:00"), NOON + HOUR)
    assert (left.level, left.headline, left.message_ids) == (3, "Vent violent ce soir", ("tonight",))


def test_a_level_0_without_references_ends_all_of_the_area_and_hazard_once() -> None:
    warnings = Warnings(2, DAY)
    clear = alert("c1", extra="<responseType>AllClear</responseType>", sent="2026-11-22T14:00:00+01:00")
    say(warnings, alert("a1"), NOON)
    assert short(say(warnings, clear, NOON + 2 * HOUR)) == [(NOON + 2 * HOUR, 0, True, True)]
    assert say(warnings, alert("a1"), NOON + 3 * HOUR) == []
    assert short(say(warnings, alert("a9", headline="De nouveau"), NOON + 4 * HOUR)) == [(NOON + 4 * HOUR, 3, False, False)]
    assert say(warnings, clear, NOON + 5 * HOUR) == []  # repeated: it says nothing of what was told since


def test_the_severest_of_several_periods_is_told_then_what_is_left() -> None:
    warnings = Warnings(2, HOUR)
    say(warnings, alert("a1", severity="Moderate", onset="2026-11-22T12:00:00+01:00", headline="Jaune"), NOON)
    say(warnings, alert("a2", onset="2026-11-22T18:00:00+01:00", expires="2026-11-22T22:00:00+01:00", headline="Orange"), NOON + 10)
    found = warnings.advance(NOON + DAY)
    assert [(s.at - NOON, s.level, s.headline) for s in found] == [
        (5 * HOUR, 3, "Orange"),
        (10 * HOUR, 2, "Jaune"),
        (18 * HOUR, 0, "Jaune"),
    ]


def test_what_is_below_the_level_or_over_is_not_told() -> None:
    warnings = Warnings(3, DAY)
    assert say(warnings, alert("a1", severity="Moderate"), NOON) == []
    assert say(warnings, alert("a2"), NOON + 20 * HOUR) == []  # read after it expired
    assert warnings.next_due is None
    assert say(Warnings(2, DAY), alert("a3", severity="Unknown"), NOON)[0].level == 2  # told, though nobody knows how severe


def test_without_expiry_it_lasts_two_days() -> None:
    warnings = Warnings(2, DAY)
    (told,) = say(warnings, alert("a1", expires=None), NOON)
    assert told.expires == told.onset + 2 * DAY


def test_rows_without_message_id_follow_each_other() -> None:
    warnings = Warnings(2, DAY)

    def plain(level: float, published: int) -> list[WarningState]:
        found = warnings.advance(published)
        found += warnings.take(Observed("f", "s", "zone", "warning.flood", NOON, level, None, None, published))
        return found + warnings.advance(published + 1)

    assert short(plain(2, NOON)) == [(NOON, 2, False, False)]
    assert short(plain(4, NOON + 10)) == [(NOON + 10, 4, True, False)]
    assert short(plain(0, NOON + 20)) == [(NOON + 20, 0, True, True)]
    assert warnings.take(Observed("f", "s", "zone", "co2", NOON, 1, None, None, NOON + 30)) == []


MESSAGES = [
    (alert("a1", severity="Moderate"), 0),
    (alert("a2", kind="Update", refs=("a1",), severity="Extreme"), HOUR),
    (alert("b1", area="FR019", expires="2026-11-22T19:00:00+01:00"), HOUR),
    (alert("a1", severity="Moderate"), 2 * HOUR),
    (alert("c1", kind="Cancel", refs=("a2",), sent="2026-11-22T15:00:00+01:00"), 3 * HOUR),
    (alert("a3", headline="Encore", expires="2026-11-22T20:00:00+01:00"), 4 * HOUR),
]
STEPS = [row for payload, after in MESSAGES for row in rows(payload, NOON + after)]


def _run(warnings: Warnings, steps: list[Observed], clock: list[int]) -> list[WarningState]:
    found: list[WarningState] = []
    for row in steps:
        for now in [c for c in clock if c < row.published_at]:
            found += warnings.advance(now)
        found += warnings.advance(row.published_at)
        found += warnings.take(row)
    return found


@pytest.fixture(scope="module")
def whole() -> list[WarningState]:
    warnings = Warnings(2, 3 * HOUR)
    return _run(warnings, STEPS, []) + warnings.advance(NOON + 2 * DAY)


def test_the_whole_story(whole: list[WarningState]) -> None:
    assert [(s.at - NOON, s.area[-5:], s.level, s.headline) for s in whole] == [
        (3 * HOUR, "FR018", 4, "Vent violent ce soir"),  # it comes near at the instant at which it is cancelled: the timer is first
        (3 * HOUR, "FR019", 3, "Vent violent ce soir"),
        (3 * HOUR, "FR018", 0, "Vent violent ce soir"),
        (4 * HOUR, "FR018", 3, "Encore"),
        (7 * HOUR, "FR019", 0, "Vent violent ce soir"),
        (8 * HOUR, "FR018", 0, "Encore"),
    ]


@settings(max_examples=60)
@given(st.integers(0, len(STEPS)), st.lists(st.integers(NOON, NOON + 5 * HOUR), max_size=5).map(sorted))
def test_cut_anywhere_and_however_the_clock_is_read_it_says_the_same(whole: list[WarningState], cut: int, clock: list[int]) -> None:
    warnings = Warnings(2, 3 * HOUR)
    found = _run(warnings, STEPS[:cut], clock)
    warnings = Warnings.from_bytes(warnings.to_bytes(), 2, 3 * HOUR)
    found += _run(warnings, STEPS[cut:], clock)
    assert found + warnings.advance(NOON + 2 * DAY) == whole


said = st.lists(
    st.tuples(
        st.integers(0, 5),  # its identifier
        st.lists(st.integers(0, 5), max_size=2),  # whom it refers to
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 8)), max_size=3),  # area, level, hours until its onset
        st.integers(0, 6),  # hours since the message before
    ),
    max_size=12,
)
Said = list[tuple[int, list[int], list[tuple[int, int, int]], int]]


def _tell(said: Said, cut: int = -1) -> tuple[list[WarningState], bytes]:
    warnings, found, published = Warnings(2, 3 * HOUR), [], NOON
    for i, (ident, refs, areas, after) in enumerate(said):
        if i == cut:
            warnings = Warnings.from_bytes(warnings.to_bytes(), 2, 3 * HOUR)
        published += after * HOUR + 1
        found += warnings.advance(published)
        name = f"m{ident}"
        for ref in refs:
            found += warnings.take(Observed("f", "s", f"alert:m{ref}", "warning_status", published, 0, None, None, published, name))
        for area, level, ahead in areas:
            onset = published + ahead * HOUR
            found += warnings.take(Observed("f", "s", f"zone{area}", "warning.wind", onset, level, None, None, published, name))
    return found + warnings.advance(published + 60 * DAY), warnings.to_bytes()


@given(said, st.integers(0, 12))
def test_whatever_is_said_each_area_tells_one_story(said: Said, cut: int) -> None:
    whole, end = _tell(said)
    assert _tell(said, cut) == (whole, end)
    for area in {s.area for s in whole}:
        story = [s for s in whole if s.area == area]
        assert [s.at for s in story] == sorted(s.at for s in story)
        assert [s.was_active for s in story] == [False, *(s.level > 0 for s in story[:-1])]
        assert all(s.level >= 2 or s.was_active for s in story)  # nothing that was not in force ends
        assert story[-1].level == 0  # everything ends in the end
