"""A headless Chromium in a network namespace, spoken to through its DevTools pipe.

The pipe (file descriptors 3 and 4 of the browser, JSON messages that end in a zero byte) needs no
port, so it reaches into a namespace that this process is not in, and no package.
"""

import asyncio
import fcntl
import json
import os
from pathlib import Path

PIPE_READER_LIMIT = 1 << 26  # bytes of one message, far above what a page of ours says
CHROMIUM = os.environ.get("TURNPIKE_CHROMIUM", "chromium")
STOP_TIMEOUT = 5  # seconds
FLAGS = [
    "--headless=new",
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-component-update",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--no-default-browser-check",
    "--no-first-run",
    "--remote-debugging-pipe",
]


class Browser:
    """A browser with one blank page."""

    def __init__(self, process, reader, writer, log: Path) -> None:
        self._process, self._reader, self._writer, self._log = process, reader, writer, log
        self._answers: dict[int, asyncio.Future] = {}
        self._session: str | None = None
        self._last_id = 0
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, namespace: str, folder: Path, flags: list[str], ca: Path | None
    ) -> "Browser":
        """Starts one whose home, with its profile and what it trusts, is `folder`."""
        await trust(folder, ca)
        to_browser, requests = pipe()
        answers, from_browser = pipe()
        log = folder / "chromium.log"
        # Only a shell puts descriptors where the browser wants them; bash knows numbers above 9.
        takes_pipe = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        command = [
            *("bash", "-c", takes_pipe, "bash"),
            *("nsenter", f"--net=/run/netns/{namespace}", "--"),
            *(CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, "about:blank"),
        ]
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(folder)},
                pass_fds=(to_browser, from_browser),
            )
        os.close(to_browser)
        os.close(from_browser)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=PIPE_READER_LIMIT)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), open(answers, "rb"))
        browser = cls(process, reader, open(requests, "wb", buffering=0), log)
        await browser._open_page()
        return browser

    async def run(self, script: str):
        """Runs JavaScript in the page, awaits what it returns, and returns that."""
        said = await self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in said:
            thrown = said["exceptionDetails"].get("exception", {})
            raise RuntimeError(f"{script[:60]}: {thrown.get('description', said)}")
        return said["result"].get("value")

    async def stop(self) -> None:
        """Asks the browser to end, with its helpers, and makes it."""
        try:
            await asyncio.wait_for(self._ask("Browser.close"), STOP_TIMEOUT)
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
        except (asyncio.TimeoutError, OSError, RuntimeError):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        self._listening.cancel()
        self._writer.close()

    async def _open_page(self) -> None:
        targets = (await self._ask("Target.getTargets"))["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = await self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]

    async def _ask(self, method: str, **params):
        self._last_id += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._last_id] = answer
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        said = await answer
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    async def _listen(self) -> None:
        """Hands every answer to whom it belongs, until the browser is gone."""
        try:
            while True:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                answer = self._answers.pop(message.get("id"), None)
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except asyncio.IncompleteReadError:
            gone = RuntimeError(f"the browser is gone; it printed:\n{self._log.read_text()[-4000:]}")
            for answer in self._answers.values():
                answer.set_exception(gone)


async def trust(folder: Path, ca: Path | None) -> None:
    """Makes the NSS database that a browser with this home reads, and puts a CA into it."""
    database = folder / ".pki" / "nssdb"
    database.mkdir(parents=True)
    steps = [["-N", "--empty-password"]]
    if ca is not None:
        steps.append(["-A", "-n", "turnpike-test-ca", "-t", "C,,", "-i", str(ca)])
    for step in steps:
        certutil = await asyncio.create_subprocess_exec("certutil", "-d", f"sql:{database}", *step)
        if await certutil.wait() != 0:
            raise RuntimeError(f"certutil {step[0]} failed")


def pipe() -> tuple[int, int]:
    """A pipe whose ends are clear of the numbers 3 and 4."""
    low = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return read, write
