"""How the simulated territory behaves: every rate, delay and share, with its reason.

Here: numbers. Not here: the processes that use them. They are plausible, not measured: what matters to a test is that the
truth says what was drawn. Rates are per year and asset; delays in seconds unless their name says otherwise.
"""

from __future__ import annotations

from typing import Final

from ingestion.simulator.clock import DAY, HOUR, MINUTE

# --- failures (per asset and year)
# Sodium lamps live about four years (16,000 h at 4,000 h a year), half of them changed before they fail; LED drivers fail at 3 to 8 %.
LAMP_OUT: Final = 0.13
LAMP_OUT_REMOTE: Final = 0.06
# Loose contacts and ageing drivers: lamps that drop out and come back. Only piloted lights can tell, the others are not simulated.
LAMP_CYCLING_REMOTE: Final = 0.04
# A radio or a power-line modem that is not heard: weather, parked lorries, interference.
LIGHT_UNHEARD: Final = 0.5
# A cabinet's concentrator that loses its mobile network: about every other month; half the time it keeps what it could not send.
GATEWAY_LOST: Final = 6.0
GATEWAY_KEEPS: Final = 0.5
# A breaker that trips, a fuse, a car: under one a year and cabinet.
CABINET_DARK: Final = 0.8
# A contactor that sticks or a clock that lost its time: about every other year; two times in three one feeder only.
DAY_BURNER: Final = 0.5
DAY_BURNER_FEEDER: Final = 0.66
# A dimming command that is stuck, drivers that age: the cabinet takes 15 to 45 % more until somebody looks.
DRIFT: Final = 0.4
DRIFT_LEAST: Final = 0.15
DRIFT_SPAN: Final = 0.30

# No failure lasts longer: what lets a window be produced from the two months before it.
LONGEST: Final = 55 * DAY

# --- flapping. Lapses are sampled each quarter of an hour: a lapse longer than 15 minutes is seen; a pause shorter than 22 shows two good
# samples at most: within the window of 30 minutes. A pause longer than 60 shows four: beyond it. Nothing is left to sampling.
FLAP_DOWN: Final = (18 * MINUTE, 40 * MINUTE)
FLAP_PAUSE_WITHIN: Final = (6 * MINUTE, 22 * MINUTE)
FLAP_PAUSE_BEYOND: Final = (70 * MINUTE, 150 * MINUTE)
FLAP_BEYOND: Final = 0.4

# --- durations (median, spread of the logarithm, longest)
UNHEARD: Final = (3 * HOUR, 1.1, 5 * DAY)
GATEWAY: Final = (2 * HOUR, 0.8, 10 * HOUR)
DRIFT_LASTS: Final = (20 * DAY, 0.5, 50 * DAY)

# --- messages of lights: one each quarter of an hour
SAMPLING: Final = 900
LATE: Final = 0.003  # of messages; radio meshes retry
LATE_MEAN: Final = 20 * MINUTE
LATE_MOST: Final = 6 * HOUR
TWICE: Final = 0.002  # of messages sent again although they had arrived (QoS 1 without its acknowledgement)
TWICE_WITHIN: Final = 5 * MINUTE
# What a concentrator kept is sent within ten minutes of its return, the newest first.
CATCH_UP: Final = 600

# --- meters: one reading each half hour, in whole watt hours
READING: Final = 1_800
READING_MISSING: Final = 0.0015
READING_LATE: Final = 0.01  # the concentrator asks again at its next round, or the next morning
READING_LATE_MOST: Final = 20 * HOUR
READING_TWICE: Final = 0.003
# A cabinet's own controller and modem; a piloted light waits for orders by day.
CABINET_IDLE_W: Final = 8.0
LIGHT_IDLE_W: Final = 0.4
# True power against the nameplate, from cabinet to cabinet (standard deviation); drivers and ballasts are declared at 8 %.
POWER_SPREAD: Final = 0.015
DRIVER_LOSS_PCT: Final = 8.0
# Photocells and clocks switch a little beside the sun (standard deviation, bound).
SWITCH_SPREAD: Final = 2 * MINUTE
SWITCH_MOST: Final = 5 * MINUTE
# The platform's tolerance for lighting where no baseline declares another (ratings and burning hours are known to about 5 % each).
TOLERANCE_PCT: Final = 10.0

# --- citizens. Mean number of people who would report it, delay until they do (median, spread).
WITNESSES: Final = {"lamp-out": 0.9, "cabinet-dark": 4.0, "street-on-by-day": 1.2}
NOTICE: Final = {"lamp-out": (4 * DAY, 0.9), "cabinet-dark": (100 * MINUTE, 0.7), "street-on-by-day": (30 * HOUR, 0.9)}
# The application asks for the number on the mast: a little over half of lamp reports name it.
NAMED: Final = 0.55
# Phone against application and desk, as the contract's monthly report splits them.
BY_PHONE: Final = 0.4
AT_DESK: Final = 0.15  # of the rest
# Reports of a lamp where the crew finds nothing, per day in a territory of the size of chalons.
FALSE_PER_DAY: Final = 0.5
FALSE_VISITED: Final = 0.5
# The patroller passes everywhere within three weeks.
PATROL_MOST: Final = 21 * DAY
PATROL_DARK_MOST: Final = 2 * DAY  # a street without light is seen from afar

# --- the command post: working seconds (median, spread) unless on call
ACKNOWLEDGE: Final = (20 * MINUTE, 0.8)
ON_CALL: Final = (12 * MINUTE, 0.6)  # wall clock: a dark cabinet (2 h to arrive) wakes the on-call
WRITE_ORDER: Final = (4 * MINUTE, 0.5)
DISPATCH: Final = {"lamp-out": (9 * HOUR, 0.7), "street-on-by-day": (12 * HOUR, 0.7)}
DISPATCH_ON_CALL: Final = (14 * MINUTE, 0.5)
TRAVEL: Final = (25 * MINUTE, 0.4)
MAKE_SAFE: Final = (15 * MINUTE, 0.5)
REPAIR: Final = {"lamp-out": (35 * MINUTE, 0.5), "street-on-by-day": (70 * MINUTE, 0.6), "cabinet-dark": (150 * MINUTE, 0.9)}
# A quarter of dark cabinets have a damaged cable under the pavement: found, dug up, mended; in working seconds, least and span.
CABLE_FAULT: Final = 0.25
CABLE_REPAIR: Final = (7 * HOUR, 9 * HOUR)
# A part that is not in stock: the clock is suspended, two to eight days.
PART_MISSING: Final = 0.07
PART_DAYS: Final = (2, 8)
CLOSE: Final = (30 * MINUTE, 0.8)
PREVENTIVE_PER_DAY: Final = 2.0  # per working day in a territory of the size of chalons

# --- records sent over HTTP by the desk's and the workshop's systems
RECORD_LATE: Final = 0.01  # the system was offline
RECORD_LATE_MOST: Final = 3 * HOUR
RECORD_TWICE: Final = 0.005  # the answer to the first was lost
RECORD_TWICE_WITHIN: Final = 600
RECORD_LATENCY: Final = 3
