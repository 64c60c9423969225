"""What people see, in Portuguese and English. Machine values and logs stay English."""

from __future__ import annotations

import os
from collections.abc import Mapping

DEFAULT_LANGUAGE = "pt"

#: Where the language of messages is looked up, as POSIX orders the locale's variables:
#: https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
#: Locales that name no language.
_NO_LANGUAGE = ("c", "posix")

_TEXTS: Mapping[str, tuple[str, str]] = {
    # Each pair: Portuguese, then English.
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
    "done_limited": ("Amostra concluída", "Sample done"),
    "done_asked": ("Concluído o que foi pedido", "Done what was asked for"),
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
    "why_held": ("retido por uma pessoa", "held by a person"),
    "why_stopped": ("ninguém executa o lote agora", "nobody is running the batch"),
    "why_poll": ("no provedor; próxima consulta", "at the provider; next poll"),
    "why_uncertain": (
        "o envio pode ter sido aceito; confira no provedor antes de repetir",
        "the submission may have been accepted; check with the provider before repeating",
    ),
    "check_uncertain": (
        "no provedor, procure {0} envio(s) feitos de {1} a {2}; depois use resolve()",
        "at the provider, look for {0} submission(s) made from {1} to {2}; then call resolve()",
    ),
    "in_seconds": ("em cerca de {0:.0f} s", "in about {0:.0f} s"),
    "state_ended": ("Terminado", "Ended"),
    "state_running": ("Executando", "Running"),
    "state_paused": ("Pausado", "Paused"),
    "state_stopping": ("Encerrando", "Stopping"),
    "remaining_unknown": ("tempo restante: calculando", "time left: calculating"),
    "poll_errors": ("consultas que falharam: {0}", "failed status queries: {0}"),
    "more_active": ("… e mais {0} em andamento", "… and {0} more in progress"),
    "more_causes": ("… e outras causas: {0}", "… and more causes: {0}"),
    "done_stopped_failed": ("Interrompido, com erros", "Interrupted, with failures"),
    "done_partial": ("Parcial: ainda há itens na fila", "Partly done: jobs are still queued"),
    "completed_of": ("{0} de {1} itens concluídos", "{0} of {1} jobs completed"),
    "in_time": ("em {0}", "in {0}"),
    "batch": ("lote", "batch"),
    "remedy": ("o que fazer", "remedy"),
    "example": ("exemplo: item {0}, {1}", "example: item {0}, {1}"),
    "results_in": ("Resultados em", "Results in"),
    "to_retry": ("Tentar de novo os que falharam", "Try the failed ones again"),
    "to_resume": ("Continuar", "Go on"),
    "to_resume_program": (
        "execute o mesmo programa outra vez",
        "run the same program again",
    ),
    "to_see_held": ("Ver os itens retidos", "See the jobs that are held"),
    "to_see_uncertain": ("Ver os itens incertos", "See the uncertain jobs"),
    "paused_because": ("Pausado: {0}", "Paused: {0}"),
    "stopped_because": ("Motivo: {0}", "Cause: {0}"),
    "stop_first_error": ("parou no primeiro erro", "stopped at the first failure"),
    "repeated": (
        "Envios repetidos que talvez sejam cobrados duas vezes: {0} (até {1:.2f})",
        "Repeated submissions that may be billed twice: {0} (up to {1:.2f})",
    ),
    "callback_errors": (
        "Chamadas do programa que falharam: {0} (veja o log)",
        "Callbacks that raised: {0} (see the log)",
    ),
    "warning": ("Aviso", "Warning"),
    "error": ("Erro", "Error"),
    "interrupt_1": (
        "encerrando: os itens em andamento terminam primeiro (Ctrl-C de novo para sair já)",
        "stopping: jobs in flight will end first (Ctrl-C again to leave now)",
    ),
    "interrupt_2": (
        "saindo: só se espera o que está sendo enviado (Ctrl-C de novo para abandonar)",
        "leaving: only submissions on their way are waited for (Ctrl-C again to give up)",
    ),
    "interrupt_3": (
        "abandonado: a próxima execução lista como incerto o que estava sendo enviado",
        "gave up: submissions on their way are listed as uncertain by the next run",
    ),
    "interrupted": (
        "Interrompido. O mesmo comando continua de onde parou.",
        "Interrupted. The same command goes on from here.",
    ),
    "added": (
        "Lote {0} · itens novos: {1} · já conhecidos: {2}",
        "Batch {0} · new jobs: {1} · known already: {2}",
    ),
    "english_model": (
        "Modelo {0}: só inglês. Para outro idioma: --model base (baixa o modelo uma vez)",
        "Model {0}: English only. For other languages: --model base (downloads the model once)",
    ),
    "fetching_model": (
        "Baixando o modelo {0}, só desta vez",
        "Downloading the model {0}, this once",
    ),
    "taken_up": ("De volta à fila: {0}", "Queued again: {0}"),
    "runs_elsewhere": (
        "O lote continua no processo que o executa.",
        "The batch goes on in the process that runs it.",
    ),
    "pause_said": (
        "Lote {0} pausado: nada novo é enviado. Para continuar: {1}",
        "Batch {0} is paused: nothing new is submitted. To go on: {1}",
    ),
    "stop_said": (
        "Lote {0}: quem o executa termina os itens em andamento e sai",
        "Batch {0}: whoever runs it lets jobs in flight end, and leaves",
    ),
    "stop_now_said": (
        "Lote {0}: quem o executa sai assim que possível",
        "Batch {0}: whoever runs it leaves as soon as possible",
    ),
    "pruned": (
        "Itens apagados do banco: {0} (os arquivos ficam)",
        "Jobs deleted from the database: {0} (files stay)",
    ),
    "no_jobs": ("Nenhum item", "No jobs"),
    "no_events": ("Nada aconteceu ainda", "Nothing has happened yet"),
    "no_uncertain": ("Nenhum envio incerto", "No uncertain submissions"),
    "will_submit": ("Pago: até {0} envios a {1}", "Paid: up to {0} submissions to {1}"),
    "will_use": ("modelo: {0}", "model: {0}"),
    "will_cost": (
        "Custo estimado, no máximo: {0} (na moeda do provedor)",
        "Estimated cost, at most: {0} (in the provider's currency)",
    ),
    "key_none": ("sem chave", "no key"),
    "key_set": ("definida", "set"),
    "key_missing": ("não definida", "not set"),
    "key_optional": ("não definida (opcional)", "not set (optional)"),
    "client_again": ("Cliente, como da última vez: {0}", "Client, as last time: {0}"),
    "not_retried": (
        "Falharam antes e não são repetidos: {0} (para repetir: --retry)",
        "Failed earlier and not tried again: {0} (to try them again: --retry)",
    ),
    "failed_earlier": (
        "Erros de antes, que este comando não pediu: {0}",
        "Failures of earlier runs, which this command did not ask for: {0}",
    ),
    "to_give_up": ("Desistir dos que falharam", "Give up on the failed ones"),
    "verified": (
        "Arquivos conferidos: {0} · faltando ou alterados: {1}",
        "Files checked: {0} · missing or changed: {1}",
    ),
    "sent_at": ("enviado em {0}", "sent at {0}"),
    "look_there": (
        "Procure no provedor, pela hora e pelo prompt ou pela chave, e depois diga:",
        "Look at the provider's list, by time and prompt or key, then say:",
    ),
    "was_accepted": ("está lá", "it is there"),
    "not_accepted": ("não está lá, enviar de novo", "it is not there, submit it again"),
    "give_up": ("desistir, sem cancelar nada no provedor", "give up; cancels nothing there"),
    "resolved_found": (
        "Serão acompanhados, sem novo envio: {0}",
        "Polled on, without a new submission: {0}",
    ),
    "resolved_absent": ("Serão enviados de novo: {0}", "To be submitted again: {0}"),
    "held_said": ("Retidos: {0}", "Held: {0}"),
    "released_said": ("De volta à fila: {0}", "Queued again: {0}"),
    "canceled_said": (
        "Fora da lista: {0} (nada foi cancelado em um provedor)",
        "Off the list: {0} (nothing was cancelled at a provider)",
    ),
    "cancel_asked": (
        "Cancelamento pedido: {0}; quem executa o lote cancela no provedor",
        "Asked to cancel: {0}; whoever runs the batch cancels at the provider",
    ),
    "removed_said": ("Removidos: {0}", "Removed: {0}"),
    "not_changed": ("Item {0} não mudou: {1}", "Job {0} was not changed: {1}"),
    "unpause_said": (
        "O lote {0} pode continuar. Se ninguém o executa: {1}",
        "Batch {0} may go on. If nobody runs it: {1}",
    ),
    "usage": ("Uso", "Usage"),
    "options": ("Opções", "Options"),
    "commands_run": ("Executar", "Run"),
    "commands_look": ("Ver", "Look"),
    "commands_steer": ("Decidir e controlar", "Decide and steer"),
    "see_help": ("Ajuda: {0}", "Help: {0}"),
    "unexpected": (
        "isto não devia acontecer; com --verbose vê-se onde foi",
        "this should not happen; run again with --verbose to see where",
    ),
    "no_batches": ("Nenhum lote", "No batches"),
}


def language(lang: str | None = None) -> str:
    """The language to show.

    Args:
        lang: as ``"pt"`` or ``"en_US"``; ``None`` asks ``BATCHKIT_LANG``, then the locale
            (``LC_ALL``, ``LC_MESSAGES``, ``LANG``). Who names none reads Portuguese.

    Returns:
        ``"pt"`` or ``"en"``; every other language reads English.
    """
    chosen = (lang or os.environ.get("BATCHKIT_LANG") or _of_locale()).lower()
    return "pt" if chosen.startswith("pt") else "en"


def _of_locale() -> str:
    found = next(filter(None, map(os.environ.get, _LOCALE)), "")
    named = found.lower().partition(".")[0]
    return DEFAULT_LANGUAGE if not named or named in _NO_LANGUAGE else found


def text(key: str, lang: str | None = None, *args: object) -> str:
    """The text for *key* in the chosen language, with *args* formatted in."""
    portuguese, english = _TEXTS[key]
    found = portuguese if language(lang) == "pt" else english
    return found.format(*args) if args else found
