"""Failures found against failures that happened: set against set, starts and ends within what sampling and delays imply.

Here: episodes and their evidence. Not here: rates made of them (`test_rates`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict

from tests.truth.month import END, LATEST, PAPER_LATEST, SAMPLING, START, TIMEOUT, Month, Row, ref_of

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT

FOREVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def told(month: Month) -> list[Row]:
    """True failures and losses that equipment tells of in the span."""
    return [f for f in month.truth["failures"] if f["told_from"] is not None and f["told_from"] < END and f["told_until"] > START]


def pairs(month: Month) -> list[tuple[Row, Row]]:
    """Each failure found in states with the one true failure it overlaps; a second, or none, is an error."""
    by_key = defaultdict(list)
    for f in told(month):
        by_key[f["asset_ref"], f["kind"], f["fault_type"]].append(f)
    found = []
    for e in month.said["core.failure_evidence"]:
        if e["evidence_kind"] == "state":
            own = [
                f
                for f in by_key[ref_of(e["asset_key"]), e["kind"], e["fault_type"]]
                if f["told_from"] <= (e["ended_at"] or FOREVER) and f["told_until"] >= e["started_at"]
            ]
            assert len(own) == 1, f"{'invented' if not own else 'merged'}: {e} for {own}"
            found.append((e, own[0]))
    return found


def test_each_failure_that_equipment_tells_is_found_once_and_none_is_invented(month: Month) -> None:
    times = Counter[str]()
    for _, failure in pairs(month):
        times[failure["failure_key"]] += 1
    twice = {key: n for key, n in times.items() if n > 1}
    # What is told in the last hours may still be on its way.
    missed = [f for f in told(month) if f["failure_key"] not in times and max(f["told_from"], START) + LATEST < END]
    assert (twice, missed) == ({}, [])


def test_the_month_holds_every_phenomenon(month: Month) -> None:
    kinds = Counter[str]()
    for _, f in pairs(month):
        kinds[f["fault_type"]] += 1
        kinds["merged lapses"] += f["stretches"] > 1
        kinds["lapses apart"] += f["fault_type"] == "lamp-cycling" and f["stretches"] == 1
        kinds["open"] += f["told_until"] >= END
        kinds["not heard at an edge"] += month.heard_by(f, f["started_at"]) - f["started_at"] > SAMPLING
        kinds["not heard at an edge"] += month.heard_by(f, f["ended_at"]) - f["ended_at"] > SAMPLING
        # The lamp goes out, is not heard, is heard again, and is still out.
        kinds["not heard meanwhile"] += f["fault_type"] == "lamp-out" and any(
            f["told_from"] < start and end + SAMPLING < f["ended_at"] for start, end in month.unheard.get(f["asset_ref"], [])
        )
    least = {
        "lamp-out": 5,
        "lamp-cycling": 5,
        "cabinet-dark": 2,
        "communication-loss": 20,
        "merged lapses": 2,
        "lapses apart": 2,
        "open": 1,
    }
    least |= {"not heard at an edge": 1, "not heard meanwhile": 1}
    assert {name: kinds[name] for name, n in least.items() if kinds[name] < n} == {}


def test_starts_and_ends_are_within_one_sampling_interval(month: Month) -> None:
    """A failure is told at the first sample that can be heard at or after it begins, and over at the first after it ends.

    Samples are a quarter of an hour apart: late ones and those that come twice or out of order change nothing, as they say when they
    were observed. The bound is longer only where nothing can be heard, by the time that it lasts: the concentrator without network
    and memory, no supply of the cabinet (its own state is told by battery), and, for the lamp's state, its radio not heard.
    """
    plain = 0
    for found, failure in pairs(month):
        started, ended = failure["started_at"], failure["ended_at"]
        # Open already when history begins: its first sample is there at once, or, observed before, arrives late.
        if failure["told_from"] < START:
            assert START - LATEST <= found["started_at"] <= month.heard_by(failure, START), (found, failure)
        else:
            assert started <= found["started_at"] <= month.heard_by(failure, started), (found, failure)
            assert found["started_at"] == failure["told_from"] or failure["told_from"] + LATEST >= END
            plain += found["started_at"] - started <= SAMPLING
        if failure["told_until"] + LATEST < END:
            assert ended <= found["ended_at"] <= month.heard_by(failure, ended), (found, failure)
            assert found["ended_at"] == failure["told_until"]
        elif failure["told_until"] >= END:
            assert found["ended_at"] is None, (found, failure)
        else:  # on its way, or a later sample that came in time
            assert found["ended_at"] is None or found["ended_at"] >= failure["told_until"], (found, failure)
    assert plain > len(pairs(month)) / 2


def owners(month: Month) -> dict[str, str | None]:
    """Reference of each report and order of the span to the key of its failure; None where nothing had failed."""
    found: dict[str, str | None] = {r["report_ref"]: r["failure_key"] for r in month.truth["reports"]}
    return found | {o["intervention_ref"]: o["failure_key"] for o in month.truth["interventions"]}


def papers_of(month: Month) -> dict[str, list[Row]]:
    """Reports by the key of their failure, those of before `END`."""
    found = defaultdict(list)
    for r in month.truth["reports"]:
        if r["failure_key"] is not None and r["opened_at"] < END:
            found[r["failure_key"]].append(r)
    return found


def is_settled(month: Month, failure: Row) -> bool:
    """Whether all its papers begin in the span, and the desk has linked them by the end of it.

    A report names no equipment for certain, and its duplicates are not known, until the desk has read it and written the order.
    """
    case, reports = month.cases.get(failure["failure_key"]), papers_of(month)[failure["failure_key"]]
    if failure["seen_from"] is None or failure["seen_from"] < START or failure["seen_from"] + LATEST >= END:
        return False
    if case is None:
        return True
    linked = [case["requested_at"], *[r["acknowledged_at"] for r in reports]]
    return bool(max(linked) + PAPER_LATEST < END)


def test_papers_tell_of_failures_that_happened_or_are_still_to_be_read(month: Month) -> None:
    owner, report = owners(month), {r["report_ref"]: r for r in month.truth["reports"]}
    false = {"DIF" + ref.lstrip("AS").removeprefix("F"): r for ref, r in report.items() if r["is_false"]}
    for e in month.said["core.failure_evidence"]:
        if e["evidence_kind"] == "state":
            continue
        ref = e["evidence_key"].split(":", 1)[1]
        assert ref in owner, e
        if owner[ref] is None:
            # Nothing was found: the desk takes it back when it closes the report, and until then it counts.
            own = report.get(ref) or false[ref]
            assert own["is_false"], e
            assert own["closed_at"] + PAPER_LATEST >= END, e


def test_each_failure_is_one_episode_whoever_tells_of_it(month: Month) -> None:
    owner = owners(month)
    by_failure: dict[str, set[str]] = defaultdict(set)
    by_episode: dict[str, set[str]] = defaultdict(set)
    sources: dict[str, set[str]] = defaultdict(set)
    for evidence, failure in pairs(month):
        by_failure[failure["failure_key"]].add(evidence["episode_id"])
        sources[failure["failure_key"]].add("state")
    for e in month.said["core.failure_evidence"]:
        key = owner.get(e["evidence_key"].split(":", 1)[1])
        if e["evidence_kind"] != "state" and key is not None:
            by_failure[key].add(e["episode_id"])
            sources[key].add(e["evidence_kind"])
    for key, episodes in by_failure.items():
        for episode in episodes:
            by_episode[episode].add(key)
    assert {e: keys for e, keys in by_episode.items() if len(keys) > 1} == {}
    known = {e["episode_id"]: e for e in month.said["core.failure_episode"]}
    seen = Counter[tuple[str, bool]]()
    for key, failure in month.failures.items():
        if not is_settled(month, failure):
            continue
        assert len(by_failure[key]) == 1, (failure, by_failure[key])
        found = known[next(iter(by_failure[key]))]
        assert (ref_of(found["asset_key"]), found["kind"], found["fault_type"]) == (
            failure["asset_ref"],
            failure["kind"],
            failure["fault_type"],
        )
        assert found["piloting"] == ("remote" if failure["is_remote"] else "other")
        # At the earliest of its witnesses, to the second.
        assert found["started_at"] == failure["seen_from"], (found, failure)
        seen[found["detected_by"], "state" in sources[key]] += 1
        if failure["seen_until"] + LATEST < END:
            # Told by the equipment; where it tells nothing, restored by the crew.
            assert (found["ended_at"], found["is_open"]) == (failure["seen_until"], False), (found, failure)
        elif failure["seen_until"] >= END:
            assert (found["ended_at"], found["is_open"]) == (None, True), (found, failure)
    assert min(seen[how] for how in (("state", True), ("report", False), ("intervention", False))) > 1, dict(seen)


def test_what_nobody_can_tell_is_not_told(month: Month) -> None:
    silent = {f["asset_ref"] for f in month.truth["failures"] if f["kind"] == "communication_loss" and f["asset_type"] == "cabinet"}
    assert silent
    assert not [e for e in month.said["core.failure_episode"] if e["kind"] == "communication_loss" and ref_of(e["asset_key"]) in silent]
