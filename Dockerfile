# The platform's own image: Dagster's code server, web server and daemon, and the command line.
# Everything is installed from the lock, with its hashes; nothing is downloaded at run time.
FROM python:3.11.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    LC_ALL=C.UTF-8

WORKDIR /opt/vigie

# Dependencies first: they change less often than the code.
COPY requirements/base.lock requirements/base.lock
RUN pip install --require-hashes --no-deps --requirement requirements/base.lock

# Superset's own environment: it cannot share Vigie's libraries (docs/decisions/0009-superset-apart.md).
COPY dashboards/requirements.lock dashboards/requirements.lock
RUN python -m venv /opt/superset \
    && /opt/superset/bin/pip install --require-hashes --no-deps --requirement dashboards/requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY ingestion ingestion
COPY quality quality
COPY orchestration orchestration
COPY dbt_project dbt_project
COPY dashboards dashboards
COPY data_catalog data_catalog
# Editable, because the dbt project is found beside the packages.
RUN pip install --no-deps --no-build-isolation --editable .

# DuckDB's extensions, from their wheels, where the unprivileged user only reads them.
ENV VIGIE_EXTENSION_DIRECTORY=/opt/vigie/extensions
RUN python -c "from pathlib import Path; from ingestion.lake.session import install_extensions; install_extensions(Path('/opt/vigie/extensions'))"

# The broker's configuration is a volume of its own, shared with the broker: it takes this folder's owner.
RUN useradd --system --uid 10001 --home-dir /var/lib/vigie --create-home vigie \
    && install --directory --owner vigie --mode 700 /var/lib/vigie/nats
USER vigie
VOLUME /var/lib/vigie

ENTRYPOINT []
CMD ["vigie", "--help"]
