"""The indicators against the truth of the simulated territory, which shares no code with the models."""
