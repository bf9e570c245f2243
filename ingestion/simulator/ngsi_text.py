"""NGSI as systems write it: the parts of entities and notifications that are the same in all of them.

Here: JSON texts by hand: a day of a city is a hundred thousand of them, the same but for some words, none of which needs escaping. Not
here: what is said (each system).
"""

from __future__ import annotations

from functools import lru_cache

from ingestion.simulator.clock import utc_text


def normalized_v2(ref: str, kind: str, attributes: str) -> str:
    """Return a normalised entity of NGSIv2."""
    return f'{{"id":"{ref}","type":"{kind}",{attributes}}}'


def attribute_v2(name: str, kind: str, value: str, at: int) -> str:
    """Return an attribute of NGSIv2 with the instant it is about; `value` is JSON."""
    return f'"{name}":{{"type":"{kind}","value":{value},"metadata":{{"TimeInstant":{{"type":"DateTime","value":"{stamp(at)}"}}}}}}'


def property_ld(name: str, value: str, at: int) -> str:
    """Return a property of NGSI-LD with the instant it is about; `value` is JSON."""
    return f'"{name}":{{"type":"Property","value":{value},"observedAt":"{stamp(at)}"}}'


def notification_v2(subscription: str, entities: list[str]) -> bytes:
    """Return what a broker of NGSIv2 sends to a subscriber."""
    return f'{{"subscriptionId":"{subscription}","data":[{",".join(entities)}]}}'.encode()


def notification_ld(subscription: str, number: str, at: int, entities: list[str]) -> bytes:
    """Return what a broker of NGSI-LD sends to a subscriber."""
    return (
        f'{{"id":"urn:ngsi-ld:Notification:{number}","type":"Notification","subscriptionId":"urn:ngsi-ld:Subscription:{subscription}",'
        f'"notifiedAt":"{stamp(at)}","data":[{",".join(entities)}]}}'
    ).encode()


@lru_cache(maxsize=4_096)
def stamp(at: int) -> str:
    """Return an instant as NGSI writes it; samples of a second share it."""
    return utc_text(at)
