"""Sheets: a dashboard as a service and an analyst write it, and the published tables it may draw on."""
