"""TURN clients over TCP or TLS that get an allocation each, let one peer send to it, and then never
read again. Prints `relayed ADDRESS PORT` for each.
"""

import argparse
import asyncio
import ssl

from aioice.turn import TurnClientTcpProtocol

TIMEOUT = 20  # seconds, for everything until the last line is printed
LIFETIME = 600  # seconds
DISCARD = 4009  # nobody listens at this port of the peer


async def main() -> None:
    args = arguments()
    deaf = asyncio.gather(*(stop_reading(args) for _ in range(args.clients)))
    for _, (address, port) in await asyncio.wait_for(deaf, TIMEOUT):
        print("relayed", address, port, flush=True)
    print("all are deaf now", flush=True)
    await asyncio.sleep(args.seconds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="address of the TURN server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", help="PEM file of the CA to trust: TLS; without it TCP")
    parser.add_argument("--peer", required=True, help="address of the peer that may send")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60, help="how long to stay")
    return parser.parse_args()


async def stop_reading(args: argparse.Namespace) -> tuple[TurnClientTcpProtocol, tuple[str, int]]:
    """A client that has just stopped to read, and its relayed address."""
    server = (args.server, args.port)
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: TurnClientTcpProtocol(server, args.user, args.password, LIFETIME, LIFETIME),
        *server,
        ssl=ssl.create_default_context(cafile=args.ca) if args.ca else None,
    )
    relayed = await client.connect()
    # The first message to a peer binds a channel to it, which permits its address.
    await client.send_data(b"hello", (args.peer, DISCARD))
    client.transport.pause_reading()
    return client, relayed


asyncio.run(main())
