"""The engine as a process: the stream, saved state, the directory of equipment, the heartbeat."""
