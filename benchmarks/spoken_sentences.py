"""Fifty sentences in five languages, and voices of Kokoro to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tests.e2e.words import ENGLISH

VOICES: Final[Mapping[str, Sequence[str]]] = {
    "en": ("af_heart", "am_michael", "bf_emma"),
    "es": ("ef_dora", "em_alex"),
    "fr": ("ff_siwis",),
    "it": ("if_sara", "im_nicola"),
    "pt": ("pf_dora", "pm_alex"),
}

SENTENCES: Final[Mapping[str, Sequence[str]]] = {
    "en": ENGLISH,
    "es": (
        "El tren para el aeropuerto sale esta tarde desde el andén norte.",
        "Buenos días, quisiera reservar una mesa para cuatro personas.",
        "Mi hermana vive en una casa pequeña cerca del mar.",
        "Ayer compramos pan, queso y un poco de fruta.",
        "La biblioteca cierra a las ocho, pero la sala sigue abierta.",
        "Por favor, apaga la luz antes de salir de la oficina.",
        "En invierno las montañas están cubiertas de nieve.",
        "No sabía que aprender a tocar el piano fuera tan divertido.",
        "El capitán miraba el horizonte aunque estaba cansado.",
        "Mañana iremos al mercado con nuestros vecinos.",
    ),
    "fr": (
        "Le train pour l'aéroport part ce soir du quai nord.",
        "Bonjour, je voudrais réserver une table pour quatre personnes.",
        "Ma sœur habite une petite maison près de la mer.",
        "Hier, nous avons acheté du pain, du fromage et des fruits.",
        "La bibliothèque ferme à huit heures, mais la salle reste ouverte.",
        "Éteins la lumière avant de quitter le bureau, s'il te plaît.",
        "En hiver, les montagnes sont couvertes de neige.",
        "Je ne savais pas que le piano était aussi amusant.",
        "Le capitaine regardait l'horizon malgré la fatigue.",
        "Demain, nous irons au marché avec nos voisins.",
    ),
    "it": (
        "Il treno per l'aeroporto parte stasera dal binario nord.",
        "Buongiorno, vorrei prenotare un tavolo per quattro persone.",
        "Mia sorella vive in una piccola casa vicino al mare.",
        "Ieri abbiamo comprato pane, formaggio e un po' di frutta.",
        "La biblioteca chiude alle otto, ma la sala resta aperta.",
        "Per favore, spegni la luce prima di uscire dall'ufficio.",
        "In inverno le montagne sono coperte di neve.",
        "Non sapevo che suonare il pianoforte fosse così divertente.",
        "Il capitano guardava l'orizzonte anche se era stanco.",
        "Domani andremo al mercato con i nostri vicini.",
    ),
    "pt": (
        "O trem para o aeroporto sai esta noite da plataforma norte.",
        "Bom dia, eu gostaria de reservar uma mesa para quatro pessoas.",
        "Minha irmã mora em uma casa pequena perto do mar.",
        "Ontem compramos pão, queijo e um pouco de fruta.",
        "A biblioteca fecha às oito horas, mas a sala continua aberta.",
        "Por favor, apague a luz antes de sair do escritório.",
        "No inverno as montanhas ficam cobertas de neve.",
        "Eu não sabia que tocar piano era tão divertido.",
        "O capitão olhava para o horizonte, embora estivesse cansado.",
        "Amanhã iremos ao mercado com os nossos vizinhos.",
    ),
}
