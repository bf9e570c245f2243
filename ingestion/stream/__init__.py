"""Messages that equipment sends by itself, from the broker's durable stream to the lake, each once.

Here: names in the broker, pulling, decoding, exactly-once landing, replay. Not here: the broker's process and configuration
(`orchestration.services`), formats (`ingestion.formats`), Dagster.
"""
