"""How big a territory is and where it lies: the presets, their communes, plausible names of streets.

Here: sizes and places. Not here: how things behave (`behaviour`), the assets made of them (`territory`).

Communes are real by name and rough position; streets, equipment and people are invented.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from ingestion.errors import WrongUse

# What the real territory of the preset counts, per light point: 2,170 of 7,290 piloted, a cabinet for 81, 40 reports a day.
_CHALONS_LIGHTS: Final = 7_290
_REMOTE_SHARE: Final = 2_170 / _CHALONS_LIGHTS
_LIGHTS_PER_CABINET: Final = 81
_REPORTS_PER_LIGHT: Final = 40 / _CHALONS_LIGHTS
MIN_LIGHTS: Final = 8
MAX_LIGHTS: Final = 200_000


@dataclass(frozen=True)
class Commune:
    """A commune: its name, the place of its centre (degrees), how far it reaches (km), its share of the lights (any unit)."""

    name: str
    longitude: float
    latitude: float
    reach_km: float
    weight: float


@dataclass(frozen=True)
class Stock:
    """How many of each equipment beside the lights: what the contract of such a command post counts, one of each at least.

    Attributes:
        cameras: of video protection (VP).
        junctions: with signals (SLT).
        buses: with priority at junctions, and on the timetable (SLT, MOB).
        car_parks: with a count of free places (MOB).
        bollards: sites of access bollards (MOB).
        vehicles: of the municipal fleet (MOB).
        access_points: of the outdoor Wi-Fi (RT).
        fibre_nodes: one each five kilometres of fibre (RT).
        buildings: heated, with indoor air and intrusion sensors (PAT).
        bins: with a level sensor (CDV).
        gauges: of rivers (EAU).
        gateways: LoRaWAN gateways; one each ten square kilometres (RT).
    """

    cameras: int = 1
    junctions: int = 1
    buses: int = 1
    car_parks: int = 1
    bollards: int = 1
    vehicles: int = 1
    access_points: int = 1
    fibre_nodes: int = 1
    buildings: int = 1
    bins: int = 1
    gauges: int = 1
    gateways: int = 1

    def scaled(self, share: float) -> Stock:
        """Return a share of it, one of each at least."""
        return Stock(**{name: max(1, round(count * share)) for name, count in asdict(self).items()})


_STOCK_CHALONS: Final = Stock(120, 25, 32, 8, 6, 20, 40, 12, 40, 150, 4, 4)
_STOCK_DIJON: Final = Stock(269, 113, 180, 30, 26, 205, 150, 28, 180, 600, 10, 12)


@dataclass(frozen=True)
class Preset:
    """A territory's size and place.

    Attributes:
        name: how it is asked for.
        title: its name for people.
        authority: the agglomeration, which owns part of the equipment.
        latitude: of its centre, degrees: the sun's.
        longitude: of its centre, degrees.
        communes: its communes.
        lights: light points.
        remote: of which remotely piloted.
        cabinets: cabinets, a meter each.
        reports_per_day: citizens' reports and calls of all kinds, on a mean day.
        stock: its other equipment.
    """

    name: str
    title: str
    authority: str
    latitude: float
    longitude: float
    communes: tuple[Commune, ...]
    lights: int
    remote: int
    cabinets: int
    reports_per_day: float
    stock: Stock = Stock()

    @property
    def scale(self) -> float:
        """Its size as a share of `chalons`: what is counted per territory goes with it."""
        return self.lights / _CHALONS_LIGHTS


_CHALONS: Final = (
    Commune("Châlons-en-Champagne", 4.365, 48.957, 1.8, 44.0),
    Commune("Saint-Memmie", 4.384, 48.953, 0.8, 5.4),
    Commune("Fagnières", 4.327, 48.963, 0.8, 4.9),
    Commune("Saint-Martin-sur-le-Pré", 4.343, 48.981, 0.6, 1.2),
    Commune("Compertrix", 4.343, 48.940, 0.5, 1.4),
    Commune("Sarry", 4.407, 48.918, 0.7, 2.0),
    Commune("L'Épine", 4.468, 48.977, 0.5, 0.8),
    Commune("Recy", 4.308, 48.987, 0.6, 1.1),
    Commune("Coolus", 4.349, 48.923, 0.4, 0.4),
    Commune("Moncetz-Longevas", 4.437, 48.903, 0.5, 0.6),
)
_DIJON: Final = (
    Commune("Dijon", 5.041, 47.322, 3.2, 160.0),
    Commune("Chenôve", 5.005, 47.291, 1.1, 14.0),
    Commune("Talant", 5.001, 47.337, 0.9, 12.0),
    Commune("Chevigny-Saint-Sauveur", 5.135, 47.301, 1.2, 11.5),
    Commune("Quetigny", 5.107, 47.313, 1.0, 9.5),
    Commune("Longvic", 5.065, 47.286, 1.1, 9.0),
    Commune("Fontaine-lès-Dijon", 5.020, 47.344, 0.9, 9.0),
    Commune("Saint-Apollinaire", 5.084, 47.332, 0.9, 7.5),
    Commune("Marsannay-la-Côte", 4.989, 47.271, 0.9, 5.3),
    Commune("Plombières-lès-Dijon", 4.972, 47.341, 0.7, 2.6),
    Commune("Neuilly-lès-Dijon", 5.104, 47.281, 0.5, 2.0),
    Commune("Ahuy", 5.021, 47.368, 0.5, 1.3),
    Commune("Daix", 4.998, 47.351, 0.5, 1.4),
    Commune("Hauteville-lès-Dijon", 4.995, 47.370, 0.5, 1.2),
    Commune("Perrigny-lès-Dijon", 5.006, 47.266, 0.6, 2.1),
    Commune("Ouges", 5.073, 47.262, 0.5, 1.5),
    Commune("Bretenière", 5.114, 47.240, 0.5, 0.9),
    Commune("Sennecey-lès-Dijon", 5.104, 47.290, 0.5, 2.2),
    Commune("Magny-sur-Tille", 5.172, 47.268, 0.5, 0.9),
    Commune("Bressey-sur-Tille", 5.176, 47.297, 0.5, 1.2),
    Commune("Corcelles-les-Monts", 4.941, 47.297, 0.5, 0.7),
    Commune("Flavignerot", 4.927, 47.285, 0.3, 0.2),
    Commune("Fénay", 5.065, 47.232, 0.6, 1.6),
    Commune("Crimolois", 5.126, 47.275, 0.5, 0.8),
)

STREET_KINDS: Final = ("Rue", "Rue", "Rue", "Rue", "Avenue", "Allée", "Impasse", "Chemin", "Place", "Boulevard", "Square", "Quai")
STREET_NAMES: Final = (
    *("des Tilleuls", "du Lavoir", "des Érables", "de la Marne", "du Moulin", "des Vignes", "de l'Église", "du Stade", "des Acacias"),
    *("de la Gare", "des Écoles", "du Château d'Eau", "des Peupliers", "de la Fontaine", "des Prés", "du Canal", "des Lilas"),
    *("de la Croix Blanche", "des Jardins", "du Vieux Pont", "des Alouettes", "de la Tuilerie", "du Four à Chaux", "des Carrières"),
    *("des Merisiers", "de la Vallée", "du Bois", "des Champs", "du Marché", "des Tanneurs", "de la Craie", "des Bateliers"),
    *("du Colombier", "des Noyers", "de la Liberté", "des Remparts", "des Bleuets", "du Pressoir", "de l'Abbaye", "des Glycines"),
)


def preset(name: str | int) -> Preset:
    """Return a preset: `chalons`, `dijon`, or a number of lights (on the ground of `chalons`).

    Raises:
        WrongUse: there is no such preset, or the number is not between 8 and 200,000.
    """
    if name == "chalons":
        return Preset(
            "chalons",
            "Châlons-en-Champagne (simulé)",
            "Châlons Agglo",
            48.957,
            4.365,
            _CHALONS,
            _CHALONS_LIGHTS,
            2_170,
            90,
            40.0,
            _STOCK_CHALONS,
        )
    if name == "dijon":
        lights = 34_000
        # 630 to 1,000 contacts a day: the middle of them.
        remote, cabinets = round(lights * _REMOTE_SHARE), round(lights / _LIGHTS_PER_CABINET)
        return Preset("dijon", "Dijon (simulé)", "Dijon Métropole", 47.322, 5.041, _DIJON, lights, remote, cabinets, 800.0, _STOCK_DIJON)
    if isinstance(name, str) and name.isdigit():
        name = int(name)
    if isinstance(name, bool) or not isinstance(name, int):
        raise WrongUse(f"no preset is called {name!r}", remedy="chalons, dijon, or a number of lights (800)")
    if not MIN_LIGHTS <= name <= MAX_LIGHTS:
        raise WrongUse(f"a territory of {name} lights", remedy=f"a number of lights between {MIN_LIGHTS} and {MAX_LIGHTS:,}")
    return Preset(
        str(name),
        f"Territoire simulé ({name} points lumineux)",
        "Châlons Agglo",
        48.957,
        4.365,
        _CHALONS,
        name,
        round(name * _REMOTE_SHARE),
        max(2, round(name / _LIGHTS_PER_CABINET)),
        name * _REPORTS_PER_LIGHT,
        _STOCK_CHALONS.scaled(name / _CHALONS_LIGHTS),
    )
