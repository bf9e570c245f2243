"""What the name of a source column suggests, in French and in English.

Here: words. Not here: values (`draft_values`), the choice among columns (`draft_mapping`). Names are compared without case,
accents, punctuation: `Date d'ouverture`, `DATE_OUVERTURE` and `dateOuverture` are one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ingestion.contracts.units import SPELLINGS, UNITS

# Canonical column to the names that mean it, most telling first. A pattern is searched in `_words_joined_`.
ROLES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "report": {
        "report_ref": (
            r"_(case_?id|unique_key|id_dmr|service_request_id|request_id|ticket(_id)?|numero_(de_)?(demande|signalement|ticket|dossier))_",
            r"^_(numero|num|n|no|reference|ref|id|identifiant|code|key)_",
            r"_(id|ref|numero|num)_$",
        ),
        "opened_at": (
            r"_(open(ed)?|opened_at|created?|creation|ouvert(e|ure)?|requested)_",
            r"_(datedecl|declaration|declare|saisie|signalement|signale|depot|depose|reception|recu|report(ed)?|appel)_",
            r"_(date|datetime|horodatage|timestamp)_",
        ),
        "closed_at": (r"_(closed?|clos|clot(ure|uree)?|cloture|ferme|fermeture|resol(u|ved|ution)|termine|solde|traite(ment)?|end|fin)_",),
        "acknowledged_at": (r"_(ack(nowledged)?|pris_en_compte|prise_en_compte|prise_en_charge|acquit\w*)_",),
        "revised_at": (r"_(updated?|modif\w*|last_edit\w*|maj|mise_a_jour|revis\w*)_",),
        "status": (r"^_(status|statut|etat|state|avancement)_$", r"_(status|statut|etat)_$"),
        "category": (
            r"^_(category|categorie|complaint_type|request_type|type|nature|motif|theme|rubrique|service_name)_$",
            r"_(category|categorie|type)_",
        ),
        "subcategory": (r"_(sub_?category|sous_?categorie|sous_?type|subtype|descriptor|request_type)_", r"_(details?|precision)_"),
        "description": (r"_(description|commentaires?|comments?|message|observations?|notes?|texte|details?|resume)_",),
        "channel": (r"_(channel_type|channel|canal|origine?|origin|source|media_type|mode_de_contact|prefixe)_",),
        "street": (r"_(street_name|rue|voie|adresse|address|street)_",),
        "district": (r"_(quartier|neighborhood|neighbourhood|district|arrondissement|borough|secteur|conseilquartier)_",),
        "commune": (r"_(commune|ville|city|town|municipality)_",),
        "longitude": (r"_(longitude|lon|long|lng|xlong)_", r"^_x_(coord\w*_)?$|_x_?coord\w*_"),
        "latitude": (r"_(latitude|lat|ylat)_", r"^_y_(coord\w*_)?$|_y_?coord\w*_"),
        "duplicate_of": (r"_(duplicate\w*|doublons?|parent_\w*)_",),
        "asset_ref": (r"_(asset_id|asset|equipement|point_lumineux|candelabre|luminaire|support|mat)_",),
    },
    "asset": {
        "asset_ref": (
            r"^_key_$|_(facility_?id|asset_?id|num_?pl|code_(equipement|support)|id_(support|mobilier|equipement|station))_",
            r"^_(id|identifiant|ref(erence)?|code|numero|num)_$",
            r"^_(id|identifiant|ref|code|numero|globalid|objectid|oid)_|_id_$",
        ),
        "asset_type": (r"_(asset_?type|type_ouvrage|type_equipement)_", r"^_type_$", r"^_(nature|categorie|category)_$"),
        "parent_ref": (r"_(armoire|cabinet|coffret|parent|feeder|depart)_",),
        "name": (r"^_(nom|name|libelle|label|intitule|titre|title)_$", r"^_(nom|name|libelle|label)_"),
        "commune": (r"_(commune|ville|city|insee)_",),
        "street": (r"_(street_?name|rue|voie|adresse|address)_",),
        "longitude": (r"_(longitude|lon|long|lng|xlong)_", r"^_x_(coord\w*_)?$|_x_?coord\w*_"),
        "latitude": (r"_(latitude|lat|ylat)_", r"^_y_(coord\w*_)?$|_y_?coord\w*_"),
        "geometry": (r"_(geometry|geo_shape|geom|geojson)_",),
        "rated_power_w": (r"_(wattage|watt\w*|puissance|power)_", r"_wattage\d*_"),
        "installed_on": (r"_(install\w*|pose|mise_en_service|date_mes|in_?operation|commission\w*|construction)_",),
        "model": (r"_(modele|model|fabricant|manufacturer|marque)_",),
        "status": (r"_(status|statut|etat|assetstatus)_",),
        "owner_authority": (r"_(owner|proprietaire|gestionnaire|exploitant)_",),
        "identity": (r"_(deveui|serial|numero_serie|id_sig|code_sig|identsig)_",),
        "effective_at": (r"_(last_?modified|updated?|maj|mise_a_jour|date_modif\w*)_",),
    },
    "intervention": {
        "intervention_ref": (
            r"_(work_?order(_id)?|bon(_de_travail)?|ot|di|intervention(_id)?|reference_chantier|identifiant_chantier\w*)_",
            r"^_(reference|identifiant|id|numero|num|ref|code)_$",
            r"^_(reference|identifiant|id|numero|num|ref|code)_|_id_$",
        ),
        "requested_at": (r"_(demande|request(ed)?|creation|created?|ouverture|opened)_", r"_(debut|start|date)_"),
        "restored_at": (r"_(fin|end|restor\w*|retabl\w*|termine|clos\w*|cloture|completed)_",),
        "dispatched_at": (r"_(dispatch\w*|depart|affect\w*|assigned)_",),
        "arrived_at": (r"_(arriv\w*|sur_site|sur_place|on_site)_",),
        "kind": (r"_(curatif|preventif|kind|type_intervention|type_maintenance)_",),
        "fault_type": (r"_(panne|fault|defaut|anomalie|cause)_",),
        "status": (r"^_(status|statut|etat)_",),
        "crew": (r"_(equipe|crew|responsable|maitre\w*|entreprise|prestataire)_",),
        "description": (r"_(description|objet|synthese|commentaires?|observations?|nature)_",),
        "commune": (r"_(commune|ville|city)_",),
        "street": (r"_(voie|voies|rue|adresse|street|address)_",),
        "longitude": (r"_(longitude|lon|long|lng)_", r"^_x_(coord\w*_)?$|_x_?coord\w*_"),
        "latitude": (r"_(latitude|lat)_", r"^_y_(coord\w*_)?$|_y_?coord\w*_"),
        "asset_ref": (r"_(asset|equipement|point_lumineux|luminaire)_",),
        "report_ref": (r"_(signalement|report|case)_",),
    },
    "energy_reading": {
        "meter_ref": (
            r"^_key_$|_(meter\w*|compteur|pdl|prm|pce|id_?prm|lclid|point_de_livraison|usage_point)_",
            r"_(id|site|batiment|building)_",
            r"id_$",
        ),
        "start_at": (r"_(start|debut|tstp|horodat\w*|timestamp|date_?time|date|heure|time)_",),
        "energy_wh": (r"_k?m?wh_|_usage_k?wh_", r"_(energie|energy|consommation|conso|consumption|usage|index|valeur|value)_"),
        "direction": (r"_(sens|direction)_",),
        "quality": (r"_(qualite|quality)_",),
    },
    "observation": {
        "asset_ref": (
            r"^_key_$|_(deveui|dev_eui|device(_id)?|sensor(_id)?|capteur|numer_sta|id_omm\w*|station(_id)?|sonde|thing)_",
            r"^_(id|identifiant|code|identsig|site|point|asset)_|_id_$",
            r"_(nom|name|street_name|libelle)_",
        ),
        "observed_at": (
            r"_(observed\w*|date_?time|timestamp|horodat\w*|date_?obs|instant)_",
            r"_(date|time|heure)_",
            r"_(debut|start|ddebut|collected|collection)_",
        ),
        "quality": (r"_(quality|qualite|fiabilite|confidence|validite)_",),
    },
}

_PERSON: Final = (
    r"_(prenom|first_?name|last_?name|surname|full_?name|patronyme|demandeur|declarant|plaignant|usager|requester|requestor|citizen|auteur)_",
    r"_(agent|technicien|operateur|operator|contact|interlocuteur|driver|chauffeur|conducteur)_",
    r"_(phone|tel|telephone|mobile|portable|fax|e_?mail|mail|courriel|mel)_$",
    r"_(immatriculation|plaque|plate|badge|iban|ip|ip_address|naissance|birth\w*|nir|securite_sociale|matricule|media_url|photo|image)_",
)
_FREE_TEXT: Final = r"_(description|commentaires?|comments?|message|notes?|observations?|remarques?|resolution_description|history)_"
_NAME_OF_SOMEONE: Final = r"^_(nom|name)_$|_nom_(du_)?(demandeur|declarant|usager|client)_"
_ADDRESS: Final = r"_(adresse|address|incident_address|street_address|rue|houseno|house_number|location)_"

_DOMAINS: Final = (
    ("EP", r"eclairage|streetlight|lampadaire|luminaire|candelabre|wattage|street_light"),
    ("GRC", r"signalement|sf311|nyc311|_311|311_|dmr|dans_ma_rue|complaint|case_id|reclamation|plainte|id_dmr"),
    ("CDV", r"dechet|corbeille|bin_|_bins|poubelle|waste|proprete|graffiti|fill_level|remplissage|total_vol"),
    ("METEO", r"meteo|synop|weather|pluie|rain|temperature_min|pression_au_niveau"),
    ("EAU", r"hydro|riviere|hauteur_d_?eau|debit|crue|gauge|piezo"),
    ("MOB", r"parking|stationnement|car_?park|parc_relais|free_?spaces|borne_escamotable|velo|vlille|bike"),
    ("SLT", r"carrefour|feux|signal_tricolore|trafic|traffic|comptage|tmja?|tjm"),
    ("PAT", r"kwh|meter|compteur|consommation|batiment|building|co2|humidity|occupancy|energie|usage_k"),
    ("VP", r"camera|videoprotection"),
    ("RT", r"wifi|fibre|access_point"),
)

# Alone, these letters are more often a word than a unit.
_DOUBTFUL_UNITS: Final = frozenset(
    {
        "t",
        "h",
        "d",
        "A",
        "C",
        "F",
        "m",
        "s",
        "l",
        "L",
        "g",
        "K",
        "V",
        "W",
        "J",
        "1",
        "min",
        "day",
        "none",
        "count",
        "hour",
        "minute",
        "jour",
        "heure",
        "in",
        "ft",
        "N",
        "us",
        "By",
        "Go",
        "Mo",
        "wk",
    }
)


def words(name: str) -> str:
    """Return a column's name as lower-case words joined by `_`, with one at each end.

    >>> words("Date d'ouverture"), words("dateOuverture"), words("N° DEVIS")
    ('_date_d_ouverture_', '_date_ouverture_', '_n_devis_')
    """
    # The degree sign would come out as an o.
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.replace("°", " ").replace("º", " ")) if not unicodedata.combining(c))
    split = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", bare)
    return "_" + "_".join(re.findall(r"[a-z0-9]+", split.casefold())) + "_"


def rank(contract: str, column: str, name: str) -> int | None:
    """Return how well a name fits a canonical column: 0 is best, None is not at all."""
    spelled = words(name)
    for place, pattern in enumerate(ROLES[contract].get(column, ())):
        if re.search(pattern, spelled):
            return place
    return None


def personal_reason(name: str, contract: str) -> str | None:
    """Return why a column's name suggests personal data, or None."""
    spelled = words(name)
    if any(re.search(p, spelled) for p in _PERSON):
        return "its name suggests a person"
    if contract in ("report", "energy_reading") and re.search(_NAME_OF_SOMEONE, spelled):
        return "its name suggests a person"
    return None


def is_address(name: str) -> bool:
    """Whether a column's name announces a postal address."""
    return re.search(_ADDRESS, words(name)) is not None


def is_free_text(name: str) -> bool:
    """Whether a column's name announces text that someone typed."""
    return re.search(_FREE_TEXT, words(name)) is not None


def unit_in(name: str) -> str | None:
    """Return the UCUM unit that a column's name states, or None.

    >>> unit_in("energy(kWh/hh)"), unit_in("Usage_kWh"), unit_in("Surface (m2)"), unit_in("Consommation")
    ('kW.h', 'kW.h', 'm2', None)
    """
    inside: list[str] = re.findall(r"[(\[]([^)\]]+)[)\]]", name)
    for text in inside:
        for candidate in (text.strip(), text.split("/")[0].strip()):
            if candidate in UNITS or candidate in SPELLINGS:
                return SPELLINGS.get(candidate, candidate)
    last: str = re.split(r"[_\s.]+", name.strip())[-1]
    if last in _DOUBTFUL_UNITS or last == name:
        return None
    if last in UNITS or last in SPELLINGS:
        return SPELLINGS.get(last, last)
    return None


def domain_of(text: str) -> str | None:
    """Return the business domain that names (of a file, of its columns) suggest, or None."""
    spelled = words(text)
    return next((code for code, pattern in _DOMAINS if re.search(pattern, spelled)), None)


def slug(name: str, *, separator: str = "-") -> str:
    """Return a name as lower-case letters and digits, beginning with a letter."""
    plain = words(name).strip("_").replace("_", separator)[:60].strip(separator)
    return plain if plain[:1].isalpha() else f"c{separator}{plain}".strip(separator) if plain else "feed"
