"""An asset per feed, and the raw tables they land in.

Here: assets that pull what a feed's connector says, the checks of a landing. Not here: landing itself (`ingestion`),
the checks' rules (`quality`). A feed without a place to pull from (its files are handed to `vigie ingest`) is an external
asset: its landings are reported to Dagster.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import dagster as dg

from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.model import Feed, FileConnector, StreamConnector
from orchestration import ingest
from orchestration.assets.common import RECEIVED_ON, RETRY, STREAM, Instance, feed_key, key_part
from quality import landings

_BALANCE: Final = "received_is_accounted_for"
_REJECTS: Final = "few_records_are_rejected"


def pulls(feed: Feed) -> bool:
    """Whether a feed says where it is to be pulled from."""
    return not (isinstance(feed.connector, StreamConnector) or (isinstance(feed.connector, FileConnector) and feed.connector.path is None))


def feed_assets(feeds: Iterable[Feed]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return an asset per feed, and one per raw table that feeds land in."""
    feeds = list(feeds)
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [_pulled(f) if pulls(f) else _spec(f) for f in feeds]
    rows = [
        dg.AssetSpec(
            ["raw", contract],
            deps=[feed_key(f.feed) for f in feeds if f.contract == contract],
            group_name="raw",
            description=f"Lignes canoniques du contrat « {contract} », telles que reçues de tous les flux.",
            kinds={"ducklake"},
            partitions_def=RECEIVED_ON,
        )
        for contract in CONTRACTS
    ]
    ledger = [
        dg.AssetSpec(["raw", table], deps=[feed_key(f.feed) for f in feeds], group_name="raw", kinds={"ducklake"})
        for table in ("landing", "rejected")
    ]
    return [*assets, *rows, *ledger]


def feed_checks(feeds: Iterable[Feed]) -> list[dg.AssetChecksDefinition]:
    """Return the checks of the feeds' landings: one step, one look at the ledger, whatever the number of feeds."""
    keys = {f.feed: feed_key(f.feed) for f in feeds}
    specs = [
        spec
        for key in keys.values()
        for spec in (
            dg.AssetCheckSpec(
                _BALANCE, asset=key, blocking=True, description="reçu = stocké + doublon + rejeté, en enregistrements de la source"
            ),
            dg.AssetCheckSpec(_REJECTS, asset=key, description="part d'enregistrements rejetés dans la dernière livraison"),
        )
    ]
    if not specs:
        return []

    # One feed can be materialized alone, with its own checks; builds check all of them.
    @dg.multi_asset_check(name="landings", specs=specs, can_subset=True)
    def check(context: dg.AssetCheckExecutionContext, instance: Instance) -> Iterator[dg.AssetCheckResult]:
        lake = instance.settings.lake
        answers = {_BALANCE: landings.balances(lake), _REJECTS: landings.rejected_shares(lake)}
        for name, by_feed in answers.items():
            severity = dg.AssetCheckSeverity.ERROR if name == _BALANCE else dg.AssetCheckSeverity.WARN
            for feed, key in keys.items():
                if dg.AssetCheckKey(key, name) not in context.selected_asset_check_keys:
                    continue
                # A feed that has not landed yet owes nothing.
                outcome = by_feed.get(feed, landings.Outcome(passed=True))
                yield dg.AssetCheckResult(
                    passed=outcome.passed, asset_key=key, check_name=name, severity=severity, metadata=outcome.numbers
                )

    return [check]


def feed_schedules(feeds: Iterable[Feed]) -> list[dg.ScheduleDefinition]:
    """Return a schedule per feed that is pulled on one, in its territory's zone."""
    return [
        dg.ScheduleDefinition(
            name=f"pull_{key_part(feed.feed)}",
            cron_schedule=feed.schedule,
            execution_timezone=feed.territory.time_zone,
            # Without its checks: each build runs those of all feeds, in one look at the ledger.
            target=dg.AssetSelection.assets(feed_key(feed.feed)).without_checks(),
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for feed in feeds
        if feed.schedule is not None and pulls(feed)
    ]


def _spec(feed: Feed) -> dg.AssetSpec:
    return dg.AssetSpec(
        feed_key(feed.feed),
        deps=[STREAM] if isinstance(feed.connector, StreamConnector) else None,
        description=feed.description or feed.title,
        group_name=f"feeds_{key_part(feed.domain.lower())}",
        owners=[f"team:{_team(feed.owner.name)}"],
        kinds={"file" if isinstance(feed.connector, FileConnector) else feed.connector.type},
        tags={"contract": feed.contract, "territory": feed.territory.code},
        metadata={"licence": feed.source.licence, "publisher": feed.source.publisher, "steward": feed.steward.name},
        partitions_def=RECEIVED_ON,
    )


def _team(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_") or "platform"


def _pulled(feed: Feed) -> dg.AssetsDefinition:
    @dg.multi_asset(name=f"feed_{key_part(feed.feed)}", specs=[_spec(feed)], retry_policy=RETRY)
    def pull(context: dg.AssetExecutionContext, instance: Instance) -> dg.MaterializeResult[None]:
        report = ingest.ingest(instance.settings, feed, [], progress=context.log.info)
        if report.failures:
            raise dg.Failure("; ".join(f"{f.origin}: {f.error}" for f in report.failures), metadata={"refused": len(report.failures)})
        return dg.MaterializeResult(metadata=report.totals())

    return pull
