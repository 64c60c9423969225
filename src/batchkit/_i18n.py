"""What people see, in Portuguese and English. Machine values and logs stay English."""

from __future__ import annotations

import os
from collections.abc import Mapping

DEFAULT_LANGUAGE = "pt"

_TEXTS: Mapping[str, tuple[str, str]] = {
    # key: (Portuguese, English)
    "pending": ("Pendente", "Pending"),
    "paused": ("Pausado", "Paused"),
    "submitting": ("Enviando", "Submitting"),
    "uncertain": ("Incerto", "Uncertain"),
    "processing": ("Processando", "Processing"),
    "collecting": ("Baixando", "Collecting"),
    "completed": ("Concluído", "Completed"),
    "failed": ("Erro", "Failed"),
    "expired": ("Expirado", "Expired"),
    "canceled": ("Cancelado", "Canceled"),
    "done_all": ("Tudo concluído", "All done"),
    "done_failed": ("Terminou com erros", "Finished with failures"),
    "done_held": ("Parou: há itens à espera de uma decisão", "Stopped: items wait for a decision"),
    "done_stopped": ("Interrompido", "Interrupted"),
    "done_empty": ("Nada a fazer", "Nothing to do"),
    "jobs": ("itens", "jobs"),
    "elapsed": ("duração", "elapsed"),
    "remaining": ("restam", "remaining"),
    "calculating": ("calculando", "calculating"),
    "errors": ("Erros", "Errors"),
    "cost": ("custo", "cost"),
    "why_slot": ("espera uma vaga", "waits for a free slot"),
    "why_rate": ("espera o limite de envio", "waits for the rate limit"),
    "why_retry": ("nova tentativa", "next attempt"),
    "why_paused": ("o lote está pausado", "the batch is paused"),
    "why_held": ("retido; solte com release()", "held; let it go with release()"),
    "why_stopped": ("ninguém executa o lote agora", "nobody is running the batch"),
    "why_poll": ("no provedor; próxima consulta", "at the provider; next poll"),
    "why_uncertain": (
        "o envio pode ter sido aceito; confira no provedor antes de repetir",
        "the submission may have been accepted; check with the provider before repeating",
    ),
    "in_seconds": ("em cerca de {0:.0f} s", "in about {0:.0f} s"),
}


def language(lang: str | None = None) -> str:
    """The language to show: *lang*, else ``BATCHKIT_LANG``, else ``"pt"``; unknown ones are English."""
    chosen = (lang or os.environ.get("BATCHKIT_LANG") or DEFAULT_LANGUAGE).lower()
    return "pt" if chosen.startswith("pt") else "en"


def text(key: str, lang: str | None = None, *args: object) -> str:
    """The text for *key* in the chosen language, with *args* formatted in."""
    portuguese, english = _TEXTS[key]
    found = portuguese if language(lang) == "pt" else english
    return found.format(*args) if args else found
