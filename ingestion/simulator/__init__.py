"""A simulated territory: what happens in it, what its systems say of it, and the truth to compare indicators with.

Here: the territory's model, its speakers (MQTT, HTTP), its history, the truth file. Not here: anything of the platform's models
or indicators: the truth shares no code with them.
"""
