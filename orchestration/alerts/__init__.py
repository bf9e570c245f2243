"""The real-time alerts of the command post: rules, engine, life cycle, feeds (docs/alerts.md)."""
