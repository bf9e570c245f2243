"""NGSI-LD and NGSIv2: which names mean what, and why something is refused.

Here: the declared lists that decoding follows, each with its order and reason. Not here: reading values (`wire_values`), entities
(`ngsi_entity`).
"""

from __future__ import annotations

from typing import Final

from ingestion.formats import wire_json

REASONS: Final[dict[str, str]] = {
    # records
    **wire_json.REASONS,
    "too_many": "the message holds more entities than a message may",
    "empty": "the message holds no entity",
    "not_an_entity": "is no JSON object",
    "no_id": "the entity has no id (a text)",
    "no_type": "the entity has no type (a text)",
    "no_property": "the entity says nothing but its id and type",
    "no_value": "no property of the entity has a value",
    # records, and values
    "nul_character": "a NUL, which no database stores",
    "text_too_long": "a text of more than 32 KiB",
    "no_instant": "nothing says when: neither the property, the entity, the notification nor the arrival",
    "not_an_instant": "is no ISO 8601 instant between 1900 and 2100",
    # values
    "unknown_unit": "is not a unit this platform converts",
    "not_a_number": "is not a number, although its type or its unit's conversion asks for one",
    "invalid_geometry": "is no WGS84 geometry",
    "invalid_attribute": "is an attribute without value",
    "deleted": "the source withdrew this property",
}

# --- instants. Measured comes before written, for a value can be written hours after it was measured: the property's, then the
# entity's. Only then when it was written, in the same order; then when the notification was sent; then when it arrived (`uncertain`).
ATTRIBUTE_MEASURED: Final = ("observedAt",)
METADATA_MEASURED: Final = ("TimeInstant", "timestamp", "observedAt", "dateObserved")
ENTITY_MEASURED: Final = (
    "observedAt",
    "dateObserved",
    "observationDateTime",
    "TimeInstant",
    "timeInstant",
    "dateLastValueReported",
    "dateLastReported",
    "dateObservedTo",
    "timestamp",
    # an alert, a report: when it was said
    "dateIssued",
    "reportedAt",
)
ATTRIBUTE_WRITTEN: Final = ("modifiedAt",)
METADATA_WRITTEN: Final = ("dateModified", "modifiedAt")
# When an entity was created says nothing of the values it has now: `dateCreated` and `createdAt` are not here.
ENTITY_WRITTEN: Final = ("modifiedAt", "dateModified", "updatedAt", "updated_datetime")

# --- the shape of an attribute
# The member that holds the value, in the order in which it is looked for.
VALUE_MEMBERS: Final = ("value", "object", "languageMap", "vocab", "json", "valueList", "objectList", "values", "objects")
LD_TYPES: Final = frozenset(
    "Property Relationship GeoProperty LanguageProperty VocabProperty JsonProperty ListProperty ListRelationship".split()
)
# Members that describe an attribute; every other one is a property of the property, and becomes `property.member`.
_OF_ATTRIBUTES: Final = """
    type @type @context metadata unitCode unitText unit datasetId instanceId objectType valueType createdAt deletedAt expiresAt
    previousValue previousObject previousLanguageMap previousVocab previousJson
""".split()
ATTRIBUTE_MEMBERS: Final = frozenset((*VALUE_MEMBERS, *ATTRIBUTE_MEASURED, *ATTRIBUTE_WRITTEN, *_OF_ATTRIBUTES))
UNIT_MEMBERS: Final = ("unitCode", "unitText", "unit")
METADATA_MEMBERS: Final = frozenset((*METADATA_MEASURED, *METADATA_WRITTEN, *UNIT_MEMBERS, "dateCreated", "actionType", "previousValue"))
NOT_PROPERTIES: Final = frozenset(("id", "type", "@id", "@type", "@context"))
# Types that say that a text is a number or a truth value (NGSIv2; all but the first are what IoT agents are configured with, whose
# protocols know texts only).
NUMBER_TYPES: Final = frozenset("Number Integer Float Double number integer float double".split())
BOOLEAN_TYPES: Final = frozenset(("Boolean", "boolean", "bool"))
NULL_URI: Final = "urn:ngsi-ld:null"

# --- the asset row. In each list the first that has one value wins; it is not repeated as an observation, the others are observations.
# What stands above a piece of equipment: its cabinet before its group, its place before the device that measures it.
PARENTS: Final = (
    "refStreetlightControlCabinet",
    "isPartOf",
    "refStreetlightGroup",
    "refParkingSite",
    "refOffStreetParking",
    "refBuilding",
    "controlledAsset",
    "refDevice",
)
MODELS: Final = ("modelName", "refDeviceModel", "refStreetlightModel", "refVehicleModel", "refWasteContainerModel", "model")
# A code that other systems (GIS, maintenance, radio) know the equipment by.
IDENTITIES: Final = ("serialNumber", "devEUI", "inventoryNumber", "inventoryCode")
# The state is a measure: it stays an observation, which failures are read from, and the asset's row shows it as well.
STATUSES: Final = ("status", "deviceState", "serviceStatus")
INSTALLED: Final = ("dateInstalled", "installationDate")
RATED_POWERS: Final = ("powerRating", "ratedPower", "nominalPower")
DESCRIPTIONS: Final = frozenset(("name", "address", "location", *PARENTS, *MODELS, *IDENTITIES, *INSTALLED, *RATED_POWERS))
