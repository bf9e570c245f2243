"""A small catalogue of published tables, written by hand, and a sheet that draws every kind of panel from it.

Here: what tests of sheets and of the compiler share. Not here: tests.
"""

from __future__ import annotations

from typing import Any, Final

from dashboards.sheets.catalogue import Table, read


def _column(name: str, data_type: str, label: str, unit: str | None = None) -> dict[str, Any]:
    meta = {"label": label} | ({"unit": unit} if unit else {})
    return {"name": name, "data_type": data_type, "description": f"{label}, décrit.", "config": {"meta": meta}}


def _metric(name: str, label: str, expression: str, unit: str, decimals: int = 0, is_better: str = "none") -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "expression": expression,
        "unit": unit,
        "decimals": decimals,
        "description": f"{label} : ce que c'est.",
        "is_better": is_better,
    }


def _node(name: str, columns: list[dict[str, Any]], **meta: Any) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": "model",
        "description": f"Table {name} ; une ligne par chose.",
        "columns": {c["name"]: c for c in columns},
        "config": {"meta": {"owner": "Éclairage public", "classification": "open", **meta}},
    }


_PLACE: Final = [
    _column("commune", "varchar", "Commune"),
    _column("owner_authority", "varchar", "Collectivité"),
    _column("longitude", "double", "Longitude", "°"),
    _column("latitude", "double", "Latitude", "°"),
]

MANIFEST: Final[dict[str, Any]] = {
    "nodes": {
        "monthly": _node(
            "indicators__failures",
            [
                _column("month", "date", "Mois"),
                _column("asset_type", "varchar", "Type d'équipement"),
                _column("piloting", "varchar", "Pilotage"),
                _column("failures_started", "integer", "Pannes commencées", "pannes"),
                _column("outline", "varchar", "Tracé"),
                *_PLACE,
            ],
            label="Pannes par mois",
            row_authority="owner_authority",
            metrics=[
                _metric("failures_started", "Pannes commencées", "sum(failures_started)", "pannes", is_better="lower"),
                _metric("availability_pct", "Disponibilité", "100.0 * sum(up_h) / nullif(sum(all_h), 0)", "%", 1, "higher"),
                _metric("repeat_pct", "Part de pannes répétées", "100.0 * sum(repeats) / sum(failures_started)", "%", 1, "lower"),
            ],
        ),
        "case": _node(
            "core__case",
            [
                _column("case_key", "varchar", "Dossier"),
                _column("opened_at", "timestamp with time zone", "Ouverture"),
                _column("opened_on", "date", "Jour d'ouverture"),
                _column("street", "varchar", "Rue"),
                _column("status", "varchar", "État"),
                _column("hours", "double", "Durée", "h"),
                *_PLACE,
            ],
            label="Dossiers",
            row_authority="owner_authority",
            metrics=[_metric("cases", "Dossiers", "count(*)", "dossiers"), _metric("median_h", "Durée médiane", "median(hours)", "h", 1)],
        ),
        "load": _node(
            "indicators__load",
            [_column("window_at", "timestamp with time zone", "Début"), _column("alarms", "integer", "Alarmes", "alarmes")],
            label="Charge",
            row_authority="none",
            row_authority_reason="Un seul mur.",
            metrics=[_metric("alarms", "Alarmes", "sum(alarms)", "alarmes")],
        ),
        "unsaid": _node("core__unsaid", [_column("name", "varchar", "Nom")]),
        "staging": _node("stg__raw", [_column("name", "varchar", "Nom")], row_authority="none"),
    }
}

WORDS: Final = {"asset_type": {"streetlight": "Point lumineux", "cabinet": "Armoire"}, "status": {"open": "Ouvert", "closed": "Clos"}}

SHEET: Final = """\
titre: Pannes de la ville
rang: 1
pour: Le service de l'éclairage, pour choisir ce qu'il remplace
ouvert_a: [analyste, pcc]
questions: [Où tombe-t-on en panne ?]
decisions: [Remplacer une armoire]
responsable: Éclairage public
convenu_le: "2026-11-20"
filtres:
  - {titre: Période, genre: periode, defaut: 12 derniers mois}
  - {titre: Commune, genre: valeurs, colonne: commune}
  - {titre: Rue, genre: valeurs, colonne: street, selon: [Commune]}
  - {titre: Type, genre: valeurs, colonne: asset_type, defaut: [streetlight]}
onglets:
  - titre: Synthèse
    intro: Ce qui change ce mois.
    panneaux:
      - {titre: Combien de pannes ?, genre: chiffre, table: indicators.failures, mesures: [failures_started], temps: month,
         comparer: annee_precedente, largeur: 3}
      - {titre: Quelle disponibilité ?, genre: chiffre, table: indicators.failures, mesures: [availability_pct], temps: month,
         largeur: 3, cible: 99.5, seuils: [{couleur: rouge, raison: hors contrat}, {a_partir_de: 99.5, couleur: vert, raison: au contrat}]}
      - {titre: Quel cours ?, genre: chiffre, table: indicators.failures, mesures: [failures_started], temps: month, pas: mois, largeur: 3}
      - {titre: Quelle part par type ?, genre: repartition, table: indicators.failures, mesures: [failures_started], par: [asset_type],
         temps: month, largeur: 3}
      - {titre: La disponibilité tient-elle ?, genre: courbe, table: indicators.failures, mesures: [availability_pct], par: [piloting],
         temps: month, pas: mois, cible: 99.5, largeur: 8}
      - {titre: Combien par mois ?, genre: barres, table: indicators.failures, mesures: [failures_started], par: [asset_type],
         temps: month, pas: mois, empile: true, largeur: 4}
      - {titre: Quel type tombe ?, genre: barres, table: indicators.failures, mesures: [failures_started], par: [asset_type],
         temps: month, ou: [{colonne: asset_type, valeurs: [streetlight, null]}, {colonne: piloting, sauf: [remote]}]}
  - titre: Lieux
    panneaux:
      - {titre: Quelle commune ?, genre: carte_communes, table: indicators.failures, mesures: [failures_started], par: [commune],
         temps: month, largeur: 6}
      - {titre: Quels points ?, genre: carte_points, table: core.case, mesures: [cases], par: [street, status], temps: opened_at}
      - {titre: Quelle rue ?, genre: classement, table: core.case, mesures: [median_h], par: [street], temps: opened_at, limite: 10}
      - {titre: Quand ?, genre: chaleur, table: core.case, mesures: [cases], par: [street], en_colonnes: [opened_on], temps: opened_at,
         pas: mois}
      - {titre: Croisé ?, genre: croise, table: core.case, mesures: [cases, median_h], par: [commune], en_colonnes: [status]}
      - {titre: Comment lire ?, genre: texte, texte: Lire de haut en bas.}
  - titre: Lignes
    panneaux:
      - {titre: Quels dossiers ?, genre: tableau, table: core.case, colonnes: [case_key, opened_at, opened_on, street, hours],
         temps: opened_at, trier_par: opened_at, ou: [{colonne: hours, au_moins: 1}], limite: 500, largeur: 12}
      - {titre: Par commune ?, genre: tableau, table: core.case, mesures: [cases], par: [commune], largeur: 12}
"""


def catalogue() -> dict[str, Table]:
    """Return the tables of the manifest above."""
    return read(MANIFEST)
