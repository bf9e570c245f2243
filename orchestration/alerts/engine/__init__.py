"""The rules at work, as pure functions of signals and a clock: nothing here reads a clock, a file or a network."""
