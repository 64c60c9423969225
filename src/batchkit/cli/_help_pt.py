"""The help in Portuguese: of commands by their names, of options by their English help."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "batchkit": """\
Processa vídeos em lote: nunca paga duas vezes, nunca perde um item que foi pago.
""",
    "batchkit:epilog": """
\b
Exemplos:
  batchkit transcribe talks/                     textos e legendas em transcripts/
  batchkit transcribe talks/*.mp4 --format srt --language en
  batchkit generate prompts.csv --output clips   um vídeo de storyboard para cada prompt
  batchkit generate prompts.txt --client fal --model fal-ai/veo3.1/fast
  batchkit status
  batchkit retry-failed

O que quer que tenha parado uma execução: o mesmo comando continua dali. O que o batchkit sabe
fica em batchkit.db na pasta atual, a não ser que --storage indique outro arquivo.

\b
Códigos de saída:
    0  o que foi pedido está feito, ou a amostra que --limit pediu
    1  itens falharam, ou não puderam ser mudados
    2  a chamada estava errada; nada mudou
    3  itens esperam uma decisão, ou não terminaram
    4  o banco ou a pasta de saída não pode ser usado
  130  interrompido
""",
    "transcribe": """\
Escreve o que é dito em gravações.

PATHS são arquivos de áudio e vídeo, pastas e padrões; com provedores, endereços também. Tudo é
feito nesta máquina, de graça, a não ser que --client indique um provedor. Os textos vão para a
pasta transcripts, ou para onde --output disser. O que está feito não é refeito, e o que falhou só é
repetido com --retry. O código de saída é sobre as gravações indicadas agora.

\b
Exemplos:
  batchkit transcribe talk.mp4
  batchkit transcribe talks/ --language en --format srt,txt
  batchkit transcribe 'talks/**/*.mp4' --model small --output texts
  batchkit transcribe talks/ --client assemblyai --param speaker_labels=true
  batchkit transcribe talks/ --retry
""",
    "generate": """\
Gera um vídeo por prompt.

PROMPTS_FILE é um .txt com um prompt por linha, um .csv com uma coluna "prompt", ou um .jsonl;
failed.jsonl de uma execução anterior também. Os vídeos vão para a pasta videos, ou para onde
--output disser. O que está feito não é enviado de novo, e o que falhou só com --retry. O código de
saída é sobre os prompts deste arquivo.

\b
Exemplos:
  batchkit generate prompts.txt
  batchkit generate prompts.csv --limit 3 --output sample
  batchkit generate prompts.csv --client fal --model fal-ai/veo3.1/fast --param duration=8s
  batchkit generate prompts.csv --client mypackage.clients:make --max-concurrent 5
  batchkit generate videos/failed.jsonl --retry
""",
    "resume": """\
Continua um lote guardado, ou pausado.

O que está em andamento é retomado, o que espera é iniciado. As opções não indicadas ficam como
estavam, o cliente também. O código de saída é sobre o lote inteiro.

\b
Exemplos:
  batchkit resume
  batchkit resume --name videos --max-concurrent 10
  batchkit resume --client mypackage.clients:make
""",
    "retry-failed": """\
Executa de novo os itens que falharam ou expiraram.

Todos, ou os JOBS indicados pelos números. O que foi pago e só não pôde ser baixado é baixado de
novo, o que foi abandonado é consultado de novo; o resto é enviado de novo, e pode ser cobrado de
novo.

\b
Exemplos:
  batchkit retry-failed
  batchkit retry-failed 3 7
  batchkit retry-failed --name videos --no-run
""",
    "status": """\
Mostra como está um lote. Funciona enquanto ele é executado em outro lugar, e não muda nada.

Termina com 0, como quer que o lote esteja; --json diz o exit_code dele.

\b
Exemplos:
  batchkit status
  batchkit status --name videos --json
""",
    "list": """\
Lista os itens de um lote, ou os lotes de um banco.

Colunas: número, estado, tentativas, título, erro. O número é o que outros comandos chamam JOB.

\b
Exemplos:
  batchkit list
  batchkit list --status failed --status expired
  batchkit list --json | jq -r '.[].files[]'
  batchkit list --batches
""",
    "why": """\
Diz por que os itens estão como estão, e o que fazer.

JOBS são números, como os mostra batchkit list; sem nenhum, todos os itens não concluídos.

\b
Exemplos:
  batchkit why 3
  batchkit why
""",
    "events": """\
Mostra o diário: tudo o que aconteceu, em ordem.

Colunas: número, hora, acontecimento, item, título, erro. Funciona durante a execução; para ver o
que há de novo, pergunte outra vez com o último número em --since.

\b
Exemplos:
  batchkit events --job 3
  batchkit events --since 120 --json
""",
    "verify": """\
Confere se os arquivos dos itens concluídos ainda estão lá, byte por byte.

Não muda nada. Termina com 1 quando um arquivo falta ou foi alterado. Para refazer tais resultados,
dê ao mesmo comando outro --name: o que está inteiro é aproveitado da pasta, o resto é refeito, e
pago de novo.

\b
Exemplo:
  batchkit verify --name videos
""",
    "clients": """\
Lista os clientes que --client conhece pelo nome.

Com cada um vai a variável de ambiente da sua chave, e se ela está definida; a chave nunca é
mostrada. Chaves não vão na linha de comando: outros usuários desta máquina poderiam lê-las ali.

\b
Exemplos:
  batchkit clients
  batchkit clients --json | jq -r '.[] | select(.ready) | .name'
""",
    "doctor": """\
Examina esta instalação: versões, extras, modelos, banco.

Termina com 0 quando o batchkit pode trabalhar aqui, com 1 quando algo precisa de conserto.
""",
    "uncertain": """\
Lista os envios incertos por causa, e o que fazer com eles.

Podem ter sido aceitos, ou não. Não são reenviados sozinhos, porque podem já ter sido cobrados. Olhe
a lista de itens do próprio provedor, e diga o que achou com batchkit resolve. Termina com 0, haja
ou não.

\b
Exemplos:
  batchkit uncertain
  batchkit uncertain --json
""",
    "resolve": """\
Diz o que foi feito de envios incertos.

Com --handle o item é acompanhado pelo identificador que você achou; nada é pago de novo. Com
--not-accepted ele é enviado de novo na próxima execução. Termina com 1 quando um item não era
incerto.

\b
Exemplos:
  batchkit resolve 3 --handle vid_8f31
  batchkit resolve 3 7 --not-accepted
  batchkit resolve --all --not-accepted
""",
    "pause": """\
Não envia nada novo por enquanto.

O que está em andamento vai até o fim. Funciona de outro terminal, durante a execução. `batchkit
unpause` o deixa continuar lá, `batchkit resume` o executa aqui.
""",
    "unpause": """\
Deixa um lote pausado continuar, sem executá-lo aqui.

Quem o executa continua na hora. Se ninguém executa, a próxima execução o retoma; `batchkit resume`
faz as duas coisas.
""",
    "stop": """\
Encerra uma execução, de outro terminal.

Como Ctrl-C lá: o que está em andamento termina antes. O comando que iniciou o lote o continua
depois.
""",
    "hold": """\
Retém itens pendentes, e só estes.

JOBS são números, como os mostra batchkit list. Termina com 1 quando um deles não estava pendente.
""",
    "release": """\
Solta itens retidos.

JOBS são números, como os mostra batchkit list. Termina com 1 quando um deles não estava retido.
""",
    "cancel": """\
Encerra itens, ou desiste dos que falharam.

Itens que esperam, são incertos ou falharam saem da lista na hora, e o lote pode terminar sem eles;
no provedor isso não cancela nada. Itens em andamento são cancelados no provedor por quem executa o
lote. Termina com 1 quando um deles já tinha terminado.

\b
Exemplos:
  batchkit cancel 3 7
  batchkit cancel --status failed
""",
    "remove": """\
Tira da lista itens que nunca foram enviados.

É como se não tivessem sido adicionados. O registro do que pode ter sido pago fica: tal item não é
removido, veja batchkit cancel. Termina com 1 quando um deles foi enviado.
""",
    "prune": """\
Apaga os registros de lotes que terminaram há muito tempo.

Os arquivos ficam onde estão. Só vão lotes inteiros, e só aqueles em que todo item terminou; --name
não faz sentido aqui.

\b
Exemplo:
  batchkit prune --older-than 30d
""",
}

OPTIONS: Mapping[str, str] = {
    "Show this message and exit.": "Mostra esta ajuda.",
    "Show the version and exit.": "Mostra a versão.",
    "Database that remembers the batches.": "Banco que guarda os lotes.",
    "Name of the batch. [default: the output folder, or the only batch]": (
        "Nome do lote. [padrão: a pasta de saída, ou o único lote]"
    ),
    "Answer in JSON; no progress.": "Responde em JSON; sem progresso.",
    "Language of what is shown. [default: $BATCHKIT_LANG, else the locale's, else pt]": (
        "Idioma do que se mostra. [padrão: $BATCHKIT_LANG, senão o do sistema, senão pt]"
    ),
    "Show the log, and where an error came from.": "Mostra o log, e de onde veio um erro.",
    "What becomes of submissions that may have been accepted. [default: hold]": (
        "O que fazer com envios que podem ter sido aceitos: reter, reenviar ou dar por erro."
        " [padrão: hold]"
    ),
    "Most that such resubmissions may cost in all.": "O máximo que tais reenvios podem custar.",
    "Submissions in some time, as 30/min.": "Envios por tempo, como 30/min.",
    "Seconds between submissions.": "Segundos entre envios.",
    "Seconds for one call of the provider.": "Segundos para uma chamada ao provedor.",
    "Seconds after which a job is given up.": "Segundos até desistir de um item.",
    "New attempts after failures that allow one.": "Novas tentativas após falhas que permitem.",
    "Jobs at the same time.": "Itens ao mesmo tempo.",
    "Who runs them. [default: what fits]": "Quem os executa. [padrão: o que convém]",
    "Start at most N jobs: a sample.": "Inicia no máximo N itens: uma amostra.",
    "End at the first failure.": "Encerra na primeira falha.",
    "Folder for the results.": "Pasta dos resultados.",
    "Their names, as '{index:04d}-{slug}.{ext}'.": "Os nomes, como '{index:04d}-{slug}.{ext}'.",
    "How transcripts are written; may be repeated. [default: all four]": (
        "Como gravar transcrições; pode repetir. [padrão: as quatro]"
    ),
    "All jobs with this status, instead of numbers; may be repeated.": (
        "Todos os itens neste estado, em vez de números; pode repetir."
    ),
    "Only these; may be repeated.": "Só estes; pode repetir.",
    "List the batches instead of jobs.": "Lista os lotes, em vez dos itens.",
    "Only after this number.": "Só depois deste número.",
    "Only of this job.": "Só deste item.",
    "It was accepted: its id at the provider.": "Foi aceito: o identificador no provedor.",
    "What polling needs besides the id, as an object.": (
        "O que a consulta precisa além do identificador, como objeto."
    ),
    "The provider has no such job: submit it again.": "O provedor não o tem: enviar de novo.",
    "All uncertain jobs of the batch.": "Todos os itens incertos do lote.",
    "Wait only for submissions that are on their way.": "Espera só os envios em curso.",
    "As 30d, 12h, 45m: since the batch ended.": "Como 30d, 12h, 45m: desde que o lote terminou.",
    "Spoken language, as pt or en. [default: found out]": (
        "Idioma falado, como pt ou en. [padrão: descobre]"
    ),
    "Model: of whisper tiny, base, small …, or a folder with one; else the provider's name.": (
        "Modelo: do whisper tiny, base, small …, ou uma pasta com um; senão o nome do provedor."
    ),
    "whisper works here, free; batchkit clients lists the providers.": (
        "whisper trabalha aqui, de graça; batchkit clients lista os provedores."
    ),
    "Address of the provider's API: of a gateway, or of your own server.": (
        "Endereço da API do provedor: de um gateway, ou de um servidor seu."
    ),
    "Option of the model, verbatim; VALUE is JSON where it parses; may be repeated.": (
        "Opção do modelo, como ela é; VALUE é JSON quando se lê como tal; pode repetir."
    ),
    "Try those again that failed earlier; they may be billed again.": (
        "Repete os que falharam antes; podem ser cobrados de novo."
    ),
    "storyboard draws title cards here, free; batchkit clients lists the providers, and "
    "package.module:factory is one of yours.": (
        "storyboard desenha cartelas aqui, de graça; batchkit clients lista os provedores, e "
        "pacote.módulo:fábrica é um seu."
    ),
    "Language of the prompts. [default: pt]": "Idioma dos prompts. [padrão: pt]",
    "The provider's own name for its model.": "O nome que o provedor dá ao modelo.",
    "The client. [default: the one of last time]": "O cliente. [padrão: o da última vez]",
    "Submit these jobs anew; they may be billed again.": (
        "Envia estes itens de novo; podem ser cobrados de novo."
    ),
    "Only queue them; the next run takes them up.": "Só põe na fila; a próxima execução os pega.",
}
