"""Two headless Chromium pages on two hosts call each other through a relay and nothing else.

Each sends the other known bytes on a data channel and a drawn picture as video. Prints one JSON
object: what `getStats` says on both ends when everything has come. Ends with a failure otherwise.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from devtools import Browser

PAGE = Path(__file__).with_name("page.js")
START_TIMEOUT = 30  # seconds, for a browser to start on a busy machine
GATHER_TIMEOUT = 20  # seconds, for each description


async def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browsers = await asyncio.wait_for(start(args, Path(folder)), START_TIMEOUT)
        try:
            reports = await call(args, *browsers)
        finally:
            await asyncio.gather(*(browser.stop() for browser in browsers))
    print(json.dumps(reports))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", action="append", required=True, help="twice: the two hosts")
    parser.add_argument("--configuration", required=True, help="of RTCPeerConnection, as JSON")
    parser.add_argument("--name", help="the relay's name, where the configuration has it")
    parser.add_argument("--address", help="the address that name stands for")
    parser.add_argument("--ca", type=Path, help="PEM file of a CA to trust")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="to send each way")
    parser.add_argument("--frames", type=int, default=300, help="to decode on each end")
    parser.add_argument("--within", type=float, default=60, help="seconds for bytes and frames")
    return parser.parse_args()


async def start(args: argparse.Namespace, folder: Path) -> list[Browser]:
    flags = []
    if args.name:
        # Every other name is unknown at once: there is no name server to ask, only one to wait for.
        rules = [f"MAP {args.name} {args.address}", "MAP * ~NOTFOUND", f"EXCLUDE {args.address}"]
        flags.append(f"--host-resolver-rules={', '.join(rules)}")
    browsers = (
        Browser.start(namespace, folder / str(number), flags, args.ca)
        for number, namespace in enumerate(args.namespace)
    )
    return await asyncio.gather(*browsers)


async def call(args: argparse.Namespace, alice: Browser, bob: Browser) -> list[dict]:
    ends = (alice, bob)
    for end, first in ((alice, "true"), (bob, "false")):
        await end.run(PAGE.read_text())
        await end.run(f"globalThis.end = new End({args.configuration}, {first}); null")
    offer = await asyncio.wait_for(alice.run("end.offer()"), GATHER_TIMEOUT)
    answer = await asyncio.wait_for(bob.run(f"end.answer({json.dumps(offer)})"), GATHER_TIMEOUT)
    await alice.run(f"end.accept({json.dumps(answer)})")
    try:
        await asyncio.wait_for(exchange(args, ends), args.within)
    except asyncio.TimeoutError:
        reports = await asyncio.gather(*(end.run("end.report()") for end in ends))
        raise RuntimeError(f"not everything came in {args.within} s: {json.dumps(reports)}") from None
    reports = await asyncio.gather(*(end.run("end.report()") for end in ends))
    await asyncio.gather(*(end.run("end.close()") for end in ends))
    return list(reports)


async def exchange(args: argparse.Namespace, ends: tuple[Browser, ...]) -> None:
    await asyncio.gather(
        *(end.run(f"end.sendBytes({args.bytes})") for end in ends),
        *(end.run(f"end.receive({args.bytes}, {args.frames})") for end in ends),
    )


asyncio.run(main())
