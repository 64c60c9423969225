"""Errors as the command line says them: its own options instead of Python's, in two languages."""

from __future__ import annotations

from batchkit._i18n import language
from batchkit._messages import MESSAGES, Said
from batchkit._wording import fields_of, translated
from batchkit.cli._wording_clients import CLIENTS, Here

#: What names options of Python, or leaves them out.
HERE: tuple[Here, ...] = (
    Here(
        "{0} has several batches: name one of {1}",
        "{0} has several batches: say --name with one of {1}",
        "{0} tem vários lotes: diga --name com um destes: {1}",
    ),
    Here(
        "{0} has no batch {1}; it has: {2}",
        "{0} has no batch {1}: say --name with one of {2}",
        "{0} não tem o lote {1}: diga --name com um destes: {2}",
    ),
    Here(
        "{0} has no batch yet: add jobs and run it first",
        "{0} has no batch yet: run batchkit transcribe or generate first",
        "{0} ainda não tem lotes: execute antes batchkit transcribe ou generate",
    ),
    Here(
        "{0} is damaged, or is not a database: restore a copy, or name another file with storage=",
        "{0} is damaged, or is not a database: restore a copy, or name another file with --storage",
        "{0} está danificado, ou não é um banco de dados: restaure uma cópia, ou indique outro "
        "arquivo com --storage",
    ),
    Here(
        "{0} belongs to another program: name another file with storage=",
        "{0} belongs to another program: name another file with --storage",
        "{0} pertence a outro programa: indique outro arquivo com --storage",
    ),
    Here(
        "{0} is on a network file system ({1}), where SQLite cannot share a database safely: "
        "put it on a local disk with storage=...",
        "{0} is on a network file system ({1}), where SQLite cannot share a database safely: "
        "name a file on a local disk with --storage",
        "{0} está num disco de rede ({1}), onde o SQLite não compartilha um banco com "
        "segurança: indique com --storage um arquivo em disco local",
    ),
    Here(
        "another runner of this program works on batch {0}: wait for it, stop it, or give this one "
        "another name",
        "this very program runs batch {0} already: wait for it, end it with batchkit stop, or "
        "give this work another --output or --name",
        "este mesmo programa já está executando o lote {0}: espere, encerre-o com batchkit stop, "
        "ou dê a este trabalho outro --output ou --name",
    ),
    Here(
        "another runner works on batch {0}: wait for it, stop it, or give this one another name",
        "another process runs batch {0}: wait for it, end it with batchkit stop, or give this "
        "work another --output or --name",
        "outro processo está executando o lote {0}: espere, encerre-o com batchkit stop, ou dê "
        "a este trabalho outro --output ou --name",
    ),
    Here(
        "another runner (process {0}) works on batch {1}: wait for it, stop it, or give this "
        "one another name",
        "another process ({0}) runs batch {1}: wait for it, end it with batchkit stop, or give "
        "this work another --output or --name",
        "outro processo ({0}) está executando o lote {1}: espere, encerre-o com batchkit stop, "
        "ou dê a este trabalho outro --output ou --name",
    ),
    Here(
        "batch {0} has {1} jobs in flight at {2}, and this client is {3}: run it with the "
        "client that started it, or give the new work another name",
        "batch {0} has {1} jobs in flight at {2}, and this client is {3}: say the client that "
        "started it with --client, or give the new work another --output or --name",
        "o lote {0} tem {1} itens em andamento em {2}, e este cliente é {3}: indique com "
        "--client o que os iniciou, ou dê ao trabalho novo outro --output ou --name",
    ),
    Here(
        "the model {0} knows {1} but not {2}: choose another model, as model={3}",
        "the model {0} knows {1} but not {2}: choose another one, as --model base",
        "o modelo {0} conhece {1}, mas não {2}: escolha outro, como --model base",
    ),
    Here(
        "{0} is no known model, and no folder with a model.bin: give one of {1}, a folder with "
        "a CTranslate2 model, or None for the English model that comes with: {2}",
        "{0} is no known model, and no folder with a model.bin: say --model with one of {1}, or "
        "a folder with a CTranslate2 model; without --model, what is installed is used",
        "{0} não é um modelo conhecido nem uma pasta com model.bin: diga --model com um destes: "
        "{1}, ou uma pasta com um modelo CTranslate2; sem --model, usa-se o instalado",
    ),
    Here(
        "the model {0} is not on this machine and cannot be downloaded ({1}): connect to the "
        "internet for its first use, or name a model that is here, as {2}",
        "the model {0} is not on this machine and cannot be downloaded ({1}): connect to the "
        "internet for its first use, or say --model {2}, which is here",
        "o modelo {0} não está nesta máquina e não pôde ser baixado ({1}): conecte à internet "
        "no primeiro uso, ou diga --model {2}, que está aqui",
    ),
    Here(
        "the model {0} is not on this machine and cannot be downloaded ({1}): connect to the "
        "internet for its first use, or give the folder of a model",
        "the model {0} is not on this machine and cannot be downloaded ({1}): connect to the "
        "internet for its first use, or say --model with the folder of a model",
        "o modelo {0} não está nesta máquina e não pôde ser baixado ({1}): conecte à internet "
        "no primeiro uso, ou diga --model com a pasta de um modelo",
    ),
    Here(
        "the model {0} cannot be read as {1} ({2}): give another model or compute_type, or "
        "delete the damaged files",
        "the model {0} cannot be read ({2}): say another --model, or delete the damaged files",
        "o modelo {0} não pode ser lido ({2}): diga outro --model, ou apague os arquivos "
        "danificados",
    ),
    Here(
        "lower max_concurrent or set rate_limit, then retry the failed jobs",
        "lower --max-concurrent or set --rate-limit, then retry the failed jobs",
        "diminua --max-concurrent ou defina --rate-limit, e repita os itens que falharam",
    ),
    Here(
        "raise request_timeout if the provider is slow",
        "raise --request-timeout if the provider is slow",
        "aumente --request-timeout se o provedor for lento",
    ),
    Here(
        "raise job_timeout, then retry the job: it is polled again, not submitted",
        "raise --job-timeout, then retry the job: it is polled again, not submitted",
        "aumente --job-timeout e repita o item: ele é consultado de novo, não reenviado",
    ),
    Here(
        "rate limit {0} is not understood: write it as {1}",
        "--rate-limit {0} is not understood: write it as {1}",
        "--rate-limit {0} não foi entendido: escreva como {1}",
    ),
    Here(
        "{0} has no handle: pass handle=, its id at the provider",
        "{0} has no handle: say its id at the provider with --handle",
        "{0} não tem identificador: diga o do provedor com --handle",
    ),
    Here(
        "StoryboardClient renders GenerateVideo requests, not {0}: use another client for these",
        "storyboard renders prompts, and this is another kind of item ({0}): use another --client",
        "storyboard desenha prompts, e este é outro tipo de item ({0}): use outro --client",
    ),
    Here(
        "duration={0}: give seconds above 0 and up to {1}, or raise "
        "StoryboardClient(max_duration=...)",
        "a duration of {0}: give seconds above 0 and up to {1}",
        "duração {0}: dê segundos acima de 0 e até {1}",
    ),
)

#: What click says of words that it does not understand, and what only the command line raises.
ONLY_HERE: tuple[Said, ...] = (
    Said("No such option {0}. Did you mean {1}?", "Não existe a opção {0}. Seria {1}?"),
    Said("No such option {0}.", "Não existe a opção {0}."),
    Said("No such option: {0} Did you mean {1}?", "Não existe a opção {0} Seria {1}?"),
    Said("No such option: {0}", "Não existe a opção {0}"),
    Said("No such command {0}.", "Não existe o comando {0}."),
    Said("Missing argument {0}.", "Falta o argumento {0}."),
    Said("Missing option {0}.", "Falta a opção {0}."),
    Said("Option {0} requires an argument.", "A opção {0} precisa de um valor."),
    Said("Option {0} does not take a value.", "A opção {0} não leva valor."),
    Said("Got unexpected extra argument ({0})", "Há um argumento a mais ({0})"),
    Said("Got unexpected extra arguments ({0})", "Há argumentos a mais ({0})"),
    Said("Invalid value for {0}: {1}", "Valor inválido para {0}: {1}"),
    Said("{0} is not one of {1}.", "{0} não é um destes: {1}."),
    Said("{0} is not in the range {1}.", "{0} está fora da faixa {1}."),
    Said("{0} is not a valid integer.", "{0} não é um número inteiro."),
    Said("{0} is not a valid float.", "{0} não é um número."),
    Said(
        "client {0} is not known: choose one of {1}, or package.module:factory",
        "o cliente {0} não é conhecido: escolha um destes: {1}, ou pacote.módulo:fábrica",
    ),
    Said(
        "--base-url is for providers by their names, and {0} is none",
        "--base-url é para provedores pelo nome, e {0} não é um",
    ),
    Said(
        "--param {0} is not understood: write it as NAME=VALUE",
        "--param {0} não foi entendido: escreva como NOME=VALOR",
    ),
    Said("client {0} cannot be imported: {1}", "o cliente {0} não pode ser importado: {1}"),
    Said("client {0} cannot be made: {1}", "o cliente {0} não pode ser criado: {1}"),
    Said(
        "client {0}, with which batch {1} was run, cannot be made here ({2}): run this in the "
        "folder where it lies, or say another one with --client",
        "o cliente {0}, com que o lote {1} foi executado, não pode ser criado aqui ({2}): "
        "execute na pasta onde ele está, ou indique outro com --client",
    ),
    Said(
        "batch {0} was never run, so it names no client: say which with --client",
        "o lote {0} nunca foi executado, então não indica cliente: diga qual com --client",
    ),
    Said(
        "batch {0} was run with {1}, which this command cannot make by itself: add --client with "
        "the name of a provider, or package.module:factory",
        "o lote {0} foi executado com {1}, que este comando não sabe criar: acrescente --client "
        "com o nome de um provedor, ou pacote.módulo:fábrica",
    ),
    Said(
        "batch {0} was run with {1}, not with {2}: give this work another --output or --name",
        "o lote {0} foi executado com {1}, não com {2}: dê a este trabalho outro --output ou "
        "--name",
    ),
    Said(
        "there is no batch database at {0} (paths start at {1}): run batchkit transcribe or "
        "generate first, or name the database with --storage",
        "não existe um banco de lotes em {0} (os caminhos partem de {1}): execute antes "
        "batchkit transcribe ou generate, ou indique o banco com --storage",
    ),
    Said(
        "{0} is no age: write a number and a unit, as 30d, 12h, 45m or 90s",
        "{0} não é um tempo: escreva número e unidade, como 30d, 12h, 45m ou 90s",
    ),
    Said("{0} holds no prompt: write one per line", "{0} não tem prompts: escreva um por linha"),
    Said(
        "{0} lists jobs and is no recording: try the failed ones again with batchkit retry-failed",
        "{0} é uma lista de itens, não uma gravação: repita os que falharam com batchkit "
        "retry-failed",
    ),
    Said(
        "{0} holds failed jobs of batch {1}: try them again there with --output {2} --retry, or "
        "name another --output to pay for them in a batch of its own",
        "{0} tem itens que falharam no lote {1}: repita-os lá com --output {2} --retry, ou "
        "indique outro --output para pagar por eles num lote à parte",
    ),
    Said("prune looks at all batches: leave --name out", "prune olha todos os lotes: tire --name"),
    Said(
        "say which jobs: their numbers, as batchkit list shows them, or --status",
        "diga quais itens: os números que batchkit list mostra, ou --status",
    ),
    Said(
        "say which jobs: their numbers, as batchkit uncertain shows them, or --all",
        "diga quais itens: os números que batchkit uncertain mostra, ou --all",
    ),
    Said(
        "say one of them: --handle with the id at the provider, or --not-accepted",
        "diga um dos dois: --handle com o identificador no provedor, ou --not-accepted",
    ),
    Said(
        "--handle is of one job: name just that one",
        "--handle é de um item só: indique apenas esse",
    ),
    Said("--data is no JSON object ({0})", "--data não é um objeto JSON ({0})"),
    Said("--data goes with --handle", "--data acompanha --handle"),
    Said(
        "--resubmit may be billed again: name the jobs that it is for",
        "--resubmit pode ser cobrado de novo: indique os itens",
    ),
)


def worded(message: str, lang: str | None = None) -> str:
    """A message as the command line says it.

    Args:
        message: as it was raised, or stored.
        lang: as for :func:`~batchkit._i18n.language`.
    """
    for raised, english, portuguese in (*HERE, *CLIENTS):
        fields = fields_of(raised, message)
        if fields is not None:
            here = portuguese if language(lang) == "pt" else english
            return here.format(*(worded(field, lang) for field in fields))
    return translated(message, lang, (*ONLY_HERE, *MESSAGES))
