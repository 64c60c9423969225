"""Uma tela com abas para gerar vídeos: prompts, configuração, progresso, resultados.

A screen in tkinter with tabs: prompts, configuration, progress, results. It shows how a program of
your own listens to a batch: events come through ``via=root.after``, so that every call happens on
the screen's own thread. It renders storyboards, which is free; give it your client instead.

Needs the extra ``storyboard`` and a Python with tkinter:

    python -m pip install ".[demo]"
    python examples/05_tk_screen.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchkit import (
    BatchFinished,
    BatchHandle,
    BatchkitError,
    BatchRunner,
    Event,
    Job,
    JobEvent,
    JobProgress,
)

COLUMNS = ("prompt", "estado", "progresso", "resultado")


class Screen:
    """The whole screen.

    Args:
        root: a ``tkinter.Tk``.
        client: who makes the videos.
        storage: where the batch is kept; the screen shows it again when it is opened again.
    """

    def __init__(self, root: Any, client: object, storage: str = "screen.db") -> None:
        # Imported here, so that this module can be read where there is no tkinter.
        import tkinter as tk
        from tkinter import filedialog, ttk

        self.tk, self.root, self.client, self.storage = tk, root, client, storage
        self.ask_folder = filedialog.askdirectory
        self.runner: BatchRunner | None = None
        self.handle: BatchHandle | None = None
        self.concurrent, self.delay = tk.IntVar(value=3), tk.DoubleVar(value=0.5)
        self.folder, self.status = tk.StringVar(value="videos"), tk.StringVar(value="Pronto")
        root.title("Geração de vídeos em lote")
        root.protocol("WM_DELETE_WINDOW", self.close)
        tabs = ttk.Notebook(root)
        tabs.pack(fill="both", expand=True)
        for title, fill in (
            ("Prompts", self._prompts_tab),
            ("Configuração", self._configuration_tab),
            ("Progresso", self._progress_tab),
            ("Resultados", self._results_tab),
        ):
            frame = ttk.Frame(tabs, padding=12)
            tabs.add(frame, text=title)
            fill(ttk, frame)
        ttk.Label(root, textvariable=self.status, padding=6).pack(fill="x")
        self._show_stored()

    # -- the tabs --------------------------------------------------------------------------

    def _prompts_tab(self, ttk: Any, frame: Any) -> None:
        ttk.Label(frame, text="Um prompt por linha:").pack(anchor="w")
        self.text = self.tk.Text(frame, width=70, height=12)
        self.text.pack(fill="both", expand=True)
        ttk.Button(frame, text="Adicionar", command=self.add).pack(anchor="e", pady=6)

    def _configuration_tab(self, ttk: Any, frame: Any) -> None:
        fields = (
            ("Máximo ao mesmo tempo", self.concurrent),
            ("Intervalo entre envios (s)", self.delay),
            ("Pasta dos vídeos", self.folder),
        )
        for row, (label, variable) in enumerate(fields):
            ttk.Label(frame, text=label).grid(row=row, column=0, sticky="w", pady=4)
            ttk.Entry(frame, textvariable=variable, width=40).grid(row=row, column=1)
        ttk.Button(frame, text="Escolher…", command=self.choose).grid(row=2, column=2)
        ttk.Button(frame, text="Aplicar agora", command=self.apply).grid(row=3, column=1)

    def _progress_tab(self, ttk: Any, frame: Any) -> None:
        self.bar = ttk.Progressbar(frame, maximum=100)
        self.bar.pack(fill="x")
        buttons = ttk.Frame(frame)
        buttons.pack(pady=8)
        for title, command in (
            ("Iniciar", self.start),
            ("Pausar", self.pause),
            ("Continuar", self.resume),
            ("Parar", self.stop),
        ):
            ttk.Button(buttons, text=title, command=command).pack(side="left", padx=4)

    def _results_tab(self, ttk: Any, frame: Any) -> None:
        self.table = ttk.Treeview(frame, columns=COLUMNS, show="headings", height=12)
        for name in COLUMNS:
            self.table.heading(name, text=name.capitalize())
        self.table.pack(fill="both", expand=True)
        ttk.Button(frame, text="Repetir os que falharam", command=self.retry).pack(anchor="e")

    # -- what people do --------------------------------------------------------------------

    def add(self) -> None:
        """Adds the pasted prompts; those that are there already are not added twice."""
        runner = self._runner()
        if runner is None:
            return
        added = runner.add_text(self.text.get("1.0", "end"))
        self.text.delete("1.0", "end")
        self.status.set(f"{added.new} adicionados, {added.existing} já existiam")
        self._show_stored()

    def choose(self) -> None:
        """Asks for the folder."""
        if chosen := self.ask_folder():
            self.folder.set(chosen)

    def apply(self) -> None:
        """Changes the limit while the batch runs."""
        if self.runner is not None:
            self._guarded(lambda: self._set_limit(self.concurrent.get()))

    def _set_limit(self, value: int) -> None:
        if self.runner is not None:
            self.runner.max_concurrent = value

    def start(self) -> None:
        """Runs the batch in the background."""
        if self.handle is not None and not self.handle.done():
            return
        runner = self._runner()
        if runner is not None:
            runner.resume()
            self.handle = runner.start()
            self.status.set("Executando")

    def pause(self) -> None:
        """Submits nothing new; what runs goes on."""
        if self.runner is not None:
            self.runner.pause()
            self.status.set("Pausado")

    def resume(self) -> None:
        """Goes on."""
        if self.runner is not None:
            self.runner.resume()
            self.status.set("Executando")

    def stop(self) -> None:
        """Ends the run when what is in flight has ended."""
        if self.handle is not None:
            self.handle.stop()
            self.status.set("Parando")

    def retry(self) -> None:
        """Takes up again what failed; the next start runs it."""
        if self.runner is not None:
            self.status.set(f"{self.runner.retry_failed()} serão repetidos")
            self._show_stored()

    def close(self) -> None:
        """Leaves as soon as submissions on their way are recorded; nothing is lost."""
        if self.handle is not None and not self.handle.done():
            self.handle.stop(now=True)
            self.root.after(100, self.close)
            return
        if self.runner is not None:
            self.runner.close()
        self.root.destroy()

    # -- what the batch tells --------------------------------------------------------------

    def _runner(self) -> BatchRunner | None:
        if self.runner is None:
            self._guarded(self._open)
        return self.runner

    def _open(self) -> None:
        runner = BatchRunner(
            self.client,
            storage=self.storage,
            output=self.folder.get(),
            max_concurrent=self.concurrent.get(),
            delay=self.delay.get(),
        )
        runner.on(JobEvent, via=self.root.after)(self.on_job)
        runner.on(BatchFinished, via=self.root.after)(self.on_finished)
        self.runner = runner

    def _guarded(self, action: Callable[[], None]) -> None:
        # What people type may be wrong: they read why on the screen, not in a terminal.
        try:
            action()
        except (BatchkitError, self.tk.TclError) as exc:
            self.status.set(str(exc))

    def on_job(self, event: JobEvent) -> None:
        """Something happened to one job: its row is renewed."""
        self._show(event.job)
        if not isinstance(event, JobProgress):
            self._show_progress()

    def on_finished(self, event: Event) -> None:
        """The run is over: the final summary."""
        self._show_progress()
        if self.runner is not None:
            self.status.set(self.runner.summary().headline("pt"))

    def _show(self, job: Job) -> None:
        done = "" if job.progress is None else f"{job.progress:.0%}"
        outcome = job.error.message if job.error is not None else ""
        if job.result is not None and job.result.path is not None:
            outcome = str(job.result.path)
        row, values = str(job.id), (job.title, job.status.label("pt"), done, outcome)
        if self.table.exists(row):
            self.table.item(row, values=values)
        else:
            self.table.insert("", "end", iid=row, values=values)

    def _show_progress(self) -> None:
        if self.runner is not None:
            progress = self.runner.progress()
            self.bar.configure(value=progress.percentage)
            self.status.set(f"{progress.done} de {progress.total}, {progress.failed} com erro")

    def _show_stored(self) -> None:
        if self.runner is not None:
            for job in self.runner.jobs():
                self._show(job)


def main() -> None:
    import tkinter as tk

    from batchkit.clients.storyboard import StoryboardClient

    root = tk.Tk()
    Screen(root, StoryboardClient)
    root.mainloop()


if __name__ == "__main__":
    main()
