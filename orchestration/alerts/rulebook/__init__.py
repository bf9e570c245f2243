"""Rules: their shape, reading and checking them."""
