"""How the platform runs dbt: its environment, its manifest, and the one process that may change what is built."""
