"""Names in the broker: streams, subjects, durables; and where it is.

Here: how a feed's topic becomes a subject and a partition. Not here: any connection.

A message that a feed's equipment publishes is mapped by the broker to `in.<partition>.<feed>.<topic…>`; the partition is a
hash of the topic it was sent to, so that messages of one topic stay in order. Two file-backed streams hold it:

- `$MQTT_msgs`, the broker's own: a PUBACK (QoS 1) means that this one holds the message. Read through durables on it.
- `INTAKE`, ours: captures the subjects. HTTP publications wait for its acknowledgement; QoS 0 stands only here. The copies of
  QoS 1 messages that it also holds are passed over (header `Nmqtt-Pub`): capture follows the PUBACK, and a killed broker loses some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Fixed: the cursors of the lake are per partition. Four processes can land at once; a busy city adds machines long after cores.
PARTITIONS: Final = 4

MQTT_STREAM: Final = "$MQTT_msgs"
INTAKE_STREAM: Final = "INTAKE"
STREAMS: Final = (MQTT_STREAM, INTAKE_STREAM)
# Rows of batch landings that can raise alarms: published by the platform itself after each commit (`landed.<contract>.<feed>`).
LANDED_STREAM: Final = "LANDED"
LANDED_ROOT: Final = "landed"
# The consumer whose durables are read in order, by one process alone.
ALERTS: Final = "alerts"
LANDED_DURABLE: Final = f"{ALERTS}-landed"
# What the platform says of alarms (`alerts.<domain>.<priority>.<alarm_id>`); a feed let in there would be sent it.
ALERTS_ROOT: Final = "alerts"
SUBJECT_ROOT: Final = "in"
# What the HTTP intake publishes to, before the broker's mapping gives it a partition: `http.<feed>.<key>`.
HTTP_ROOT: Final = "http"
# The header the broker writes into messages that came over MQTT: their quality of service.
MQTT_HEADER: Final = "Nmqtt-Pub"
# The header in which the HTTP intake keeps what followed the path it was posted to: some formats say there what a message is.
QUERY_HEADER: Final = "Vigie-Query"
# The broker's account, and the platform's user in it; each stream feed has a user of its name.
ACCOUNT: Final = "CITY"
PLATFORM_USER: Final = "vigie"


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and who the platform is there.

    Attributes:
        url: `nats://host:port`.
        user: the platform's user.
        password: its password; never printed.
    """

    url: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Broker(url={self.url!r}, user={self.user!r})"


def durable(consumer: str, partition: int) -> str:
    """Return the name of a partition's durable: `lake-0`."""
    return f"{consumer}-{partition}"


def filter_subject(stream: str, partition: int) -> str:
    """Return what a partition's durable reads of a stream."""
    subject = f"{SUBJECT_ROOT}.{partition}.>"
    return f"$MQTT.msgs.{subject}" if stream == MQTT_STREAM else subject


def feed_and_topic(subject: str) -> tuple[str, str]:
    """Return the feed and the MQTT topic of a stored message's subject.

    >>> feed_and_topic("in.3.lights.cab//7.lamp.12")
    ('lights', 'cab.7/lamp/12')
    >>> feed_and_topic("$MQTT.msgs.in.0.lights.a")
    ('lights', 'a')
    """
    levels = subject.removeprefix("$MQTT.msgs.").split(".", 3)
    # The broker writes a topic's dot as two slashes, its slash as a dot, an empty level as a slash.
    topic = levels[3] if len(levels) > 3 else ""  # noqa: PLR2004 - root, partition, feed, topic
    return levels[2], topic.replace("//", "\0").replace(".", "/").replace("\0", ".")


def topic_subject(topic: str) -> str:
    """Return the broker's subject of an MQTT topic or filter.

    >>> topic_subject("v3/app@tenant/devices/+/up"), topic_subject("a.b/#")
    ('v3.app@tenant.devices.*.up', 'a//b.>')
    """
    levels = topic.split("/")
    return ".".join({"+": "*", "#": ">"}.get(level, level.replace(".", "//")) for level in levels)
