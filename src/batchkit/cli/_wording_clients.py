"""What clients of providers refuse, as the command line says it."""

from __future__ import annotations

from typing import NamedTuple


class Here(NamedTuple):
    """A message as the library raises it, and as it is said here."""

    raised: str
    english: str
    portuguese: str


def _same(raised: str, portuguese: str) -> Here:
    return Here(raised, raised, portuguese)


CLIENTS: tuple[Here, ...] = (
    Here(
        "{0} needs a key: set {1}, or pass it as key=",
        "{0} needs a key: set the environment variable {1}",
        "{0} precisa de uma chave: defina a variável de ambiente {1}",
    ),
    Here(
        "{0} needs a model: pass model= to the client, or with the job",
        "{0} needs a model: say --model with the provider's name for it",
        "{0} precisa de um modelo: diga --model com o nome que o provedor lhe dá",
    ),
    Here(
        "the client {0} cannot be made so: {1} missing 1 required keyword-only argument: "
        "'base_url'",
        "the client {0} needs the address of a gateway: say --base-url",
        "o cliente {0} precisa do endereço de um gateway: diga --base-url",
    ),
    _same("the client {0} cannot be made so: {1}", "o cliente {0} não pode ser criado assim: {1}"),
    Here(
        "base_url is {0}: write it as https://host/path",
        "--base-url is {0}: write it as https://host/path",
        "--base-url é {0}: escreva como https://host/caminho",
    ),
    _same(
        "the base URL of {0} holds more than a host and a path: leave user, password and query "
        "out; keys come from the environment",
        "a URL base de {0} tem mais que servidor e caminho: tire usuário, senha e consulta; as "
        "chaves vêm do ambiente",
    ),
    Here(
        "OpenAI has shut down its video API: give base_url= of a gateway that still speaks it "
        "(LiteLLM, vLLM-Omni), or use another client",
        "OpenAI has shut down its video API: say --base-url with a gateway that still speaks it "
        "(LiteLLM, vLLM-Omni), or use another --client",
        "a OpenAI desligou a API de vídeo: diga --base-url com um gateway que ainda a fale "
        "(LiteLLM, vLLM-Omni), ou use outro --client",
    ),
    Here(
        "{0} transcribes: add files or TranscribeVideo requests",
        "{0} transcribes: use batchkit transcribe",
        "{0} transcreve: use batchkit transcribe",
    ),
    Here(
        "{0} generates and transcribes: add such requests",
        "{0} takes prompts and recordings only",
        "{0} aceita só prompts e gravações",
    ),
    Here(
        "{0} has {1} bytes, and {2} takes {3}: send the sound alone (ffmpeg -i IN -vn -ac 1 "
        "-b:a 32k OUT.mp3), or pass max_bytes= if your account takes more",
        "{0} has {1} bytes, and {2} takes {3}: send the sound alone (ffmpeg -i IN -vn -ac 1 "
        "-b:a 32k OUT.mp3)",
        "{0} tem {1} bytes, e {2} aceita {3}: envie só o som (ffmpeg -i IN -vn -ac 1 -b:a 32k "
        "OUT.mp3)",
    ),
    _same(
        "{0} has {1} bytes, and {2} takes {3}: make it smaller",
        "{0} tem {1} bytes, e {2} aceita {3}: diminua-o",
    ),
    _same(
        "{0} takes files only, and {1} is an address: download it first, or use a provider that "
        "takes addresses",
        "{0} aceita só arquivos, e {1} é um endereço: baixe antes, ou use um provedor que aceite "
        "endereços",
    ),
    _same(
        "{0} takes http and https addresses only: check {1}",
        "{0} aceita só endereços http e https: confira {1}",
    ),
    _same(
        "there is no image {0}: check the path, or give an address",
        "não existe a imagem {0}: confira o caminho, ou dê um endereço",
    ),
    _same(
        "{0} is no image by its name: call it as .png or .jpg",
        "{0} não é imagem pelo nome: chame-a como .png ou .jpg",
    ),
    _same(
        "{0} has {1} bytes, and {2} takes {3} of a file: make it smaller, or give an address",
        "{0} tem {1} bytes, e {2} aceita {3} de um arquivo: diminua-o, ou dê um endereço",
    ),
    _same("there is no image {0}: check the path", "não existe a imagem {0}: confira o caminho"),
    _same(
        "{0} has no extension that tells what it is: rename it, as to .mp4",
        "{0} não tem uma extensão que diga o que é: renomeie, como para .mp4",
    ),
    Here(
        "callback= sends the transcript elsewhere: leave it out",
        "--param callback sends the transcript elsewhere: leave it out",
        "--param callback manda a transcrição para outro lugar: tire-o",
    ),
    Here(
        "response_format={0} cannot be read back: leave it out; txt, srt, vtt and json are "
        "written from the transcript",
        "--param response_format={0} cannot be read back: leave it out; --format says which files "
        "are written",
        "--param response_format={0} não pode ser lido de volta: tire-o; --format diz que arquivos "
        "são gravados",
    ),
    Here(
        "stream= cannot be read back: leave it out",
        "--param stream cannot be read back: leave it out",
        "--param stream não pode ser lido de volta: tire-o",
    ),
    Here(
        "stream= and store=False cannot be read back: leave them out",
        "--param stream and --param store=false cannot be read back: leave them out",
        "--param stream e --param store=false não podem ser lidos de volta: tire-os",
    ),
    _same(
        "custom_metadata has to be a mapping without {0}: rename that key",
        "custom_metadata tem que ser um objeto sem {0}: renomeie essa chave",
    ),
    _same(
        "custom_metadata has more than {0} characters as JSON: shorten it",
        "custom_metadata tem mais de {0} caracteres em JSON: encurte",
    ),
    _same(
        "tracking.reference holds the submit key: use tracking.tags for yours",
        "tracking.reference leva a chave do envio: use tracking.tags para as suas",
    ),
    Here(
        "{0} is told no language: name it in params input=, or use auto",
        "{0} is told no language: name it in --param input=..., and leave --language out",
        "{0} não recebe idioma: diga-o em --param input=..., e tire --language",
    ),
    Here(
        "{0} has to be told what to do: put a text into params input=",
        "{0} has to be told what to do: say --param input=...",
        "{0} precisa saber o que fazer: diga --param input=...",
    ),
    Here(
        "the model's name for the language is not known: pass inputs={{'language': ...}} to the "
        "client, or the language in params",
        "the model's name for the language is not known: leave --language out, and say it with "
        "--param",
        "não se sabe como o modelo chama o idioma: tire --language, e diga-o com --param",
    ),
)
