"""The web application: one FastAPI process for the pages and APIs that people and systems read."""
