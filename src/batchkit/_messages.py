"""What errors say, in English as they are raised, and in Portuguese."""

from __future__ import annotations

from typing import NamedTuple


class Said(NamedTuple):
    """One message in both languages; a field stands for any text, braces are doubled."""

    english: str
    portuguese: str


#: English, as it is raised, and Portuguese.
MESSAGES: tuple[Said, ...] = (
    Said("the submission may have been accepted ({0})", "o envio pode ter sido aceito ({0})"),
    Said(
        "the submission may have been accepted: the run died while it was sent",
        "o envio pode ter sido aceito: a execução caiu enquanto enviava",
    ),
    Said("{0} (request {1})", "{0} (pedido {1})"),
    Said("the request cannot be built: {0}", "não foi possível montar o pedido: {0}"),
    Said("http_client cannot be made: {0}", "não foi possível criar o http_client: {0}"),
    Said(
        "http_client is an aiohttp.ClientSession of another event loop: {0}",
        "http_client é uma aiohttp.ClientSession de outro event loop: {0}",
    ),
    Said(
        "pass a function that makes one, and each run gets its own",
        "passe uma função que crie uma, e cada execução terá a sua",
    ),
    Said("no connection within {0} s", "sem conexão em {0} s"),
    Said("the server sends nothing", "o servidor não envia nada"),
    Said("the server takes no more of the body", "o servidor não aceita o resto do envio"),
    Said("the answer ends before its end", "a resposta acaba antes do fim"),
    Said("the answer is no HTTP", "a resposta não é HTTP"),
    Said("the answer is larger than {0} bytes", "a resposta passa de {0} bytes"),
    Said("the proxy answers {0}", "o proxy responde {0}"),
    Said(
        'aiohttp knows no SOCKS proxies: use transport="httpx"',
        'o aiohttp não conhece proxies SOCKS: use transport="httpx"',
    ),
    Said("did not end within {0} s", "não terminou em {0} s"),
    Said("{0} took longer than {1} s", "{0} demorou mais de {1} s"),
    Said("the provider answers {0}", "o provedor responde {0}"),
    Said("the provider gave no reason", "o provedor não disse o motivo"),
    Said("the call was ended early", "a chamada foi encerrada antes do fim"),
    Said("it never left: all threads were busy", "não chegou a sair: todas as threads ocupadas"),
    Said(
        "submit returned {0}, not Accepted or Finished",
        "submit devolveu {0}, e não Accepted ou Finished",
    ),
    Said(
        "submit answered Accepted, but the client has no poll method",
        "submit respondeu Accepted, mas o cliente não tem o método poll",
    ),
    Said(
        "{0} is gone: the server answers {1}; collect results sooner",
        "{0} não existe mais: o servidor responde {1}; recolha os resultados mais cedo",
    ),
    Said(
        "{0} cannot be downloaded: the server answers {1}",
        "não foi possível baixar {0}: o servidor responde {1}",
    ),
    Said("{0} cannot be downloaded: {1}", "não foi possível baixar {0}: {1}"),
    Said(
        "the result for {0} is empty: it is fetched again",
        "o resultado de {0} está vazio: será buscado de novo",
    ),
    Said(
        "{0} has no sound: give one with an audio track",
        "{0} não tem som: use um arquivo com faixa de áudio",
    ),
    Said(
        "{0} is damaged, unreadable, or neither audio nor video ({1}): check that it plays",
        "{0} está danificado, ilegível, ou não é áudio nem vídeo ({1}): veja se toca",
    ),
    Said(
        "{0} is empty (0 bytes): copy or record it again",
        "{0} está vazio (0 bytes): copie ou grave de novo",
    ),
    Said(
        "this client reads files, not URLs: download it first",
        "este cliente lê arquivos, não endereços: baixe o vídeo antes",
    ),
    Said(
        "{0} is a folder: give the path of a file in it",
        "{0} é uma pasta: dê o caminho de um arquivo dela",
    ),
    Said(
        "check the connection, then retry the failed jobs",
        "verifique a conexão e repita os itens que falharam",
    ),
    Said(
        "lower max_concurrent or set rate_limit, then retry the failed jobs",
        "diminua max_concurrent ou defina rate_limit, e repita os itens que falharam",
    ),
    Said(
        "check the key and the account's credit, then resume the batch",
        "verifique a chave e o crédito da conta, e continue o lote",
    ),
    Said(
        "correct the item and add it again: the same would be refused again",
        "corrija o item e adicione de novo: igual, seria recusado outra vez",
    ),
    Said(
        "raise request_timeout if the provider is slow",
        "aumente request_timeout se o provedor for lento",
    ),
    Said(
        "look the job up at the provider before repeating it",
        "procure o item no provedor antes de repetir",
    ),
    Said(
        "check that the key belongs to the account that started the job",
        "verifique se a chave é da conta que iniciou o item",
    ),
    Said(
        "collect results sooner, or raise the provider's retention",
        "recolha os resultados mais cedo, ou aumente a retenção no provedor",
    ),
    Said(
        "raise job_timeout, then retry the job: it is polled again, not submitted",
        "aumente job_timeout e repita o item: ele é consultado de novo, não reenviado",
    ),
    Said(
        "retry the failed jobs: only the download is repeated",
        "repita os itens que falharam: só o download é refeito",
    ),
    Said(
        "it may have been billed: look at the provider before you retry it",
        "pode ter sido cobrado: confira no provedor antes de repetir",
    ),
    Said(
        "there is no file {0}: check its name (paths start at {1})",
        "não existe o arquivo {0}: confira o nome (os caminhos partem de {1})",
    ),
    Said("there is no file {0}: check the path", "não existe o arquivo {0}: confira o caminho"),
    Said(
        "{0} holds no recording: known are {1}; name a file itself to use another one",
        "{0} não tem gravações: são conhecidas {1}; para usar outra, dê o nome do arquivo",
    ),
    Said(
        "the folder {0} cannot be read ({1}): allow it, or leave it out",
        "a pasta {0} não pode ser lida ({1}): permita a leitura, ou deixe-a de fora",
    ),
    Said(
        "{0} is neither a file nor a folder: name a recording",
        "{0} não é arquivo nem pasta: dê o nome de uma gravação",
    ),
    Said("{0} is a folder: name a file of prompts", "{0} é uma pasta: dê um arquivo de prompts"),
    Said(
        "{0} is no file of prompts: use one of {1}",
        "{0} não é arquivo de prompts: use um destes: {1}",
    ),
    Said(
        "{0}: this is not UTF-8 ({1}): save the file as UTF-8",
        "{0}: não está em UTF-8 ({1}): salve o arquivo em UTF-8",
    ),
    Said(
        "{0} cannot be read ({1}): check that it is yours",
        "{0} não pode ser lido ({1}): veja se o arquivo é seu",
    ),
    Said(
        "{0}: this is not JSON ({1}): write one object or string",
        "{0}: não é JSON ({1}): escreva um objeto ou um texto",
    ),
    Said("{0} is neither an object nor a string", "{0} não é objeto nem texto"),
    Said(
        "{0}: the item is empty: give it a prompt, or leave the line out",
        "{0}: o item está vazio: dê um prompt, ou tire a linha",
    ),
    Said("{0}: this is not CSV ({1}): check its quotes", "{0}: não é CSV ({1}): confira as aspas"),
    Said(
        "{0}: the table needs a header with a column 'prompt'; it has {1}",
        "{0}: a tabela precisa de um cabeçalho com a coluna 'prompt'; tem {1}",
    ),
    Said(
        "{0}: two columns are named {1}: rename one",
        "{0}: duas colunas se chamam {1}: mude o nome de uma",
    ),
    Said(
        "{0}: there are {1} cells and {2} columns: put a text that contains the separator in "
        '"quotes"',
        '{0}: há {1} células e {2} colunas: ponha entre "aspas" o texto que tem o separador',
    ),
    Said(
        "{0}: the prompt is empty: write one, or delete the line",
        "{0}: o prompt está vazio: escreva um, ou apague a linha",
    ),
    Said(
        "{0}: {1} is no kind of request: choose from {2}, or register it",
        "{0}: {1} não é um tipo de pedido: escolha entre {2}, ou registre-o",
    ),
    Said(
        "{0}: {1} is missing: a {2} request needs it",
        "{0}: falta {1}: um pedido {2} precisa disso",
    ),
    Said(
        "{0}: {1} is empty: write one, or leave the row out",
        "{0}: {1} está vazio: escreva um, ou tire a linha",
    ),
    Said("{0}: {1} is {2}: give a text", "{0}: {1} é {2}: dê um texto"),
    Said("{0}: {1} is {2}: give a whole number", "{0}: {1} é {2}: dê um número inteiro"),
    Said(
        "{0}: {1} is {2}: give a number, with a point before decimals",
        "{0}: {1} é {2}: dê um número, com ponto antes dos decimais",
    ),
    Said(
        "the prompt {0}... has {1} characters and the limit is {2}: shorten it, or raise "
        "max_prompt_length",
        "o prompt {0}... tem {1} caracteres e o limite é {2}: encurte-o, ou aumente "
        "max_prompt_length",
    ),
    Said(
        "{0} cannot be written ({1}): {2}, then run again",
        "{0} não pode ser gravado ({1}): {2}, e execute de novo",
    ),
    Said("{0} cannot be written: {1}", "{0} não pode ser gravado: {1}"),
    Said("free some space", "libere espaço"),
    Said("free some of your quota", "libere parte da sua cota"),
    Said(
        "the file system is read-only: choose another folder",
        "o disco é só de leitura: escolha outra pasta",
    ),
    Said(
        "allow writing there, or choose another folder",
        "permita gravar ali, ou escolha outra pasta",
    ),
    Said(
        "{0} cannot be written ({1}): check that its folder exists and is writable",
        "{0} não pode ser gravado ({1}): veja se a pasta existe e permite gravar",
    ),
    Said(
        "{0} has {1} MB left and {2} MB are needed to start: free some space, or choose another "
        "folder",
        "{0} tem {1} MB livres e são precisos {2} MB para começar: libere espaço, ou escolha "
        "outra pasta",
    ),
    Said(
        "{0} is locked by another program: close it (a database browser, a backup), then run "
        "again; nothing is lost",
        "{0} está bloqueado por outro programa: feche-o (um navegador de banco, uma cópia de "
        "segurança) e execute de novo; nada se perdeu",
    ),
    Said(
        "{0} was written by a newer batchkit (schema {1}, this one knows {2}): upgrade "
        "batchkit-video, or name another file",
        "{0} foi gravado por um batchkit mais novo (esquema {1}; este conhece {2}): atualize "
        "batchkit-video, ou use outro arquivo",
    ),
    Said(
        "no recording was named: give files, folders or patterns",
        "nenhuma gravação foi indicada: dê arquivos, pastas ou padrões",
    ),
    Said(
        "add credit or wait for the quota, then resume the batch",
        "ponha crédito ou espere a cota, e continue o lote",
    ),
    Said(
        "change the prompt: the provider refuses it, and will again",
        "mude o prompt: o provedor o recusa, e vai recusar outra vez",
    ),
    Said("the folder {0}", "a pasta {0}"),
    Said("the pattern {0}", "o padrão {0}"),
    Said("the command line", "a linha de comando"),
    Said("{0}, line {1}", "{0}, linha {1}"),
    Said("batch {0} has no job {1}", "o lote {0} não tem o item {1}"),
    Said(
        "the output template {0} has an unknown field {1}: choose from {2}",
        "o modelo de nomes {0} tem um campo desconhecido {1}: escolha entre {2}",
    ),
    Said(
        "the output template {0} does not end in .{{ext}}: add it, so that files get the "
        "extension of what they hold",
        "o modelo de nomes {0} não termina em .{{ext}}: acrescente, para que os arquivos tenham "
        "a extensão do que contêm",
    ),
    Said(
        "the output template {0} has a bad format for {1}: numbers take one such as "
        "{{index:04d}}, texts one such as {{slug:.20}}",
        "o modelo de nomes {0} tem um formato errado em {1}: números aceitam {{index:04d}}, "
        "textos {{slug:.20}}",
    ),
    Said(
        "the output template {0} has a folder or file without a name: take out a / at its "
        "start, // and .. (files stay inside the output folder)",
        "o modelo de nomes {0} tem uma pasta ou arquivo sem nome: tire a / do início, // e .. "
        "(os arquivos ficam dentro da pasta de saída)",
    ),
    Said(
        "the output template {0} cannot be read ({1}): write {{{{ for a brace",
        "o modelo de nomes {0} não pode ser lido ({1}): escreva {{{{ para uma chave",
    ),
    Said(
        "item {0} ({1}) has no metadata {2}, which the output template needs: add it, or take "
        "the field out",
        "o item {0} ({1}) não tem o metadado {2}, que o modelo de nomes usa: acrescente-o, ou "
        "tire o campo",
    ),
    Said(
        "items {0} and {1} ({2}) would both be written to {3}: add {{index}} to the output "
        "template {4}",
        "os itens {0} e {1} ({2}) iriam para o mesmo arquivo {3}: acrescente {{index}} ao "
        "modelo de nomes {4}",
    ),
    Said(
        "{0} is no transcript format: choose from {1}",
        "{0} não é um formato de transcrição: escolha entre {1}",
    ),
    Said('{0} needs the extra "{1}": {2}', '{0} precisa do extra "{1}": {2}'),
    Said(
        "rate limit {0} is not understood: write it as {1}",
        "o limite {0} não foi entendido: escreva como {1}",
    ),
)
