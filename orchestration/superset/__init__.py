"""The dashboard server as a service of an instance: its file of addresses, its start. The dashboards themselves are `dashboards/`."""
