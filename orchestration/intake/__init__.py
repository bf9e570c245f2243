"""Messages over HTTP: systems post, the broker's stream keeps.

Here: the application and who may post what. Not here: formats (the lake's reader decodes), the broker's configuration
(`orchestration.services.nats_server`).
"""
