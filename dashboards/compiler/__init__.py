"""From sheets to Superset's assets: datasets, charts, dashboards, with ids that never change."""
