"""The dashboard server's application, as gunicorn loads it.

Here: making it. Not here: anything of it.
"""

from superset.app import create_app

app = create_app()
