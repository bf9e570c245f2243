"""An asset per dbt model, the reference tables they need, and the publication of a build that passed.

Here: what Dagster knows of dbt's project. Not here: SQL, the process that runs dbt (`orchestration.dbt.process`).
"""

import datetime as dt
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

from ingestion import reference
from ingestion.feeds.registry import valid_feeds
from ingestion.lake.builds import find_build
from ingestion.lake.maintain import tidy
from ingestion.lake.publish import publish
from ingestion.lake.reference import TABLES
from ingestion.lake.session import MUTATE_LOCK, advisory_lock
from orchestration.assets.common import LAKE_WRITER, RECEIVED_ON, RETRY, Instance
from orchestration.dbt import process, project
from orchestration.inputs import inputs_digest
from orchestration.runs import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from orchestration.settings import Settings
from quality import landings

PUBLICATION: Final = dg.AssetKey(["published"])

# Tags of a run. `vigie build` and its schedule ask for what is new, which is found by itself; without the tag, as when
# somebody materializes a partition in Dagster's page, the days that the partition's rows are about are built again.
ONLY_NEW_TAG: Final = "vigie/only_new"
# The instant at which what is open is judged, where it is not the start of the build (ISO 8601).
AS_OF_TAG: Final = "vigie/as_of"
# What the reference tables of this run were made from; written by the run itself.
INPUTS_TAG: Final = "vigie/inputs"
_PLATFORM: Final = ["team:platform"]


class Translator(DagsterDbtTranslator):
    """How a dbt node appears in Dagster: keyed (layer, name), French description, partitioned where its data grows."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return (layer, name): `core/report`, `raw/report`."""
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([dbt_resource_props["source_name"], dbt_resource_props["name"]])
        layer = str(dbt_resource_props["schema"]).removeprefix("work_")
        return dg.AssetKey([layer, dbt_resource_props["alias"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Group assets by layer."""
        if dbt_resource_props["resource_type"] == "source":
            return "raw"
        return str(dbt_resource_props["schema"]).removeprefix("work_")

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the French description alone: the SQL stands in the repository."""
        return str(dbt_resource_props.get("description") or "")

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> dg.PartitionsDefinition | None:
        """Partition what grows by the day received; referentials and indicators are whole."""
        grows = dbt_resource_props.get("config", {}).get("materialized") == "incremental"
        return RECEIVED_ON if grows else None

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str] | None:
        """Return the owning team that the model states, else the platform's."""
        owner = dbt_resource_props.get("config", {}).get("meta", {}).get("owner")
        return [f"team:{''.join(c if c.isalnum() else '_' for c in str(owner).lower())}"] if owner else list(_PLATFORM)


def reference_assets() -> dg.AssetsDefinition:
    """Return the asset that brings the reference tables up to date."""

    @dg.multi_asset(
        name="reference",
        specs=[dg.AssetSpec(["raw", table], group_name="raw", kinds={"ducklake"}, owners=_PLATFORM, skippable=True) for table in TABLES],
        can_subset=True,
        pool=LAKE_WRITER,
        retry_policy=RETRY,
    )
    def refresh(context: dg.AssetExecutionContext, instance: Instance) -> Iterator[dg.MaterializeResult[None]]:
        settings = instance.settings
        # Before the files are read: one that changes meanwhile makes the next build due.
        context.instance.add_run_tags(context.run.run_id, {INPUTS_TAG: inputs_digest(settings)})
        with advisory_lock(settings.lake, MUTATE_LOCK):
            done = reference.refresh(
                settings.lake, valid_feeds(settings.feeds_path), settings.declared_path, today=dt.datetime.now(dt.UTC).date()
            )
            # What landed since the last build stands in small pieces, which every model would read.
            tidied = tidy(settings.lake)
        context.log.info("tidied: %s", tidied)
        for key in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=key, metadata={"changed": key.path[-1] in done.changed})

    return refresh


def model_assets(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """Return an asset per dbt model; a model's tests are its checks, and a failed one stops what is downstream."""

    @dbt_assets(
        manifest=manifest,
        name="models",
        # Unit tests prove the SQL when it changes; at each build they would only cost time.
        exclude="resource_type:unit_test",
        dagster_dbt_translator=Translator(),
        pool=LAKE_WRITER,
        # No retry: a model or a test that fails would fail again, and a machine that restarts is retried with the run.
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def models(context: dg.AssetExecutionContext, dbt: DbtCliResource, instance: Instance) -> Iterator[Any]:
        settings = instance.settings
        # Only dbt's own process needs these; it is a child of this one.
        os.environ.update(project.environment(settings))
        for name, value in _told(context).items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        target = settings.dbt_target_path / "runs" / context.run.run_id
        try:
            yield from dbt.cli(["build", "--no-use-colors"], context=context, target_path=target).stream()
        finally:
            _forget_old_runs(target.parent)

    return models


# dbt's artefacts of the last runs: enough to look at what failed last night.
_KEPT_RUNS: Final = 20


def _forget_old_runs(folder: Path) -> None:
    runs = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime) if folder.exists() else []
    for old in runs[:-_KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def _told(context: dg.AssetExecutionContext) -> dict[str, str | None]:
    """Return what the run tells dbt's process; None where there is nothing to be told."""
    run = context.instance.get_run_by_id(context.run.run_id) or context.run  # read anew: it has tagged itself since its start
    as_of = run.tags.get(AS_OF_TAG)
    first, last = reprocessed_days(run.tags)
    return {
        process.BUILD_ID: run.run_id,
        process.AS_OF: as_of,
        process.REPROCESS_FROM: first,
        process.REPROCESS_TO: last,
        process.INPUTS_DIGEST: None if as_of or context.is_subset else run.tags.get(INPUTS_TAG),
    }


def reprocessed_days(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the first and last day received that a run is to build again, by its tags; None when it builds what is new.

    The tags are Dagster's own: one for a single partition, two for a range in a single run.
    """
    if ONLY_NEW_TAG in tags:
        return None, None
    day = tags.get(PARTITION_TAG)
    return tags.get(RANGE_START_TAG, day), tags.get(RANGE_END_TAG, day)


def publication_asset(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """Return the asset that points the published views at the build of its run."""
    tables = project.published_tables(dict(manifest))
    deps = [dg.AssetKey([schema, name]) for schema, names in tables.items() for name in names]

    @dg.asset(
        key=PUBLICATION,
        deps=deps,
        group_name="published",
        kinds={"ducklake"},
        owners=_PLATFORM,
        pool=LAKE_WRITER,
        retry_policy=RETRY,
        description="Vues publiées (core, indicators, open_data), épinglées à la dernière construction dont les contrôles ont réussi.",
    )
    def published(context: dg.AssetExecutionContext, instance: Instance) -> dg.MaterializeResult[None]:
        settings = instance.settings
        build = find_build(settings.lake, context.run.run_id)
        if build is None:
            raise dg.Failure("this run holds no build that passed: the published views stay as they are", allow_retries=False)
        lost = [feed for feed, outcome in landings.balances(settings.lake).items() if not outcome.passed]
        if lost:
            raise dg.Failure(f"records of {', '.join(sorted(lost))} are not accounted for: nothing is published", allow_retries=False)
        with advisory_lock(settings.lake, MUTATE_LOCK):
            done = publish(settings.lake, build, tables, published_at=dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(
            metadata={"snapshot_id": done.snapshot_id, "landing_seq": done.landing_seq, "tables": done.tables, "build_id": done.build_id}
        )

    return published


def dbt_resource(settings: Settings) -> DbtCliResource:
    """Return dbt as this instance runs it: through the process that holds the lake's mutation lock."""
    os.environ.update(project.environment(settings))
    return DbtCliResource(
        project_dir=str(project.DBT_DIR),
        profiles_dir=str(project.DBT_DIR),
        target=project.target(settings),
        dbt_executable=str(Path(sys.executable).with_name("vigie-dbt")),
    )
