"""Two ICE agents of aioice, an implementation independent of this project, gather relayed candidates
only, connect through them, and send each other data.

Prints one line for each thing that worked and ends with a failure at the first that did not.
"""

import argparse
import asyncio
import ssl

import aioice
from aioice.turn import TurnClientTcpProtocol

MESSAGES = 200
TIMEOUT = 20  # seconds, for gathering, for connecting, and for each message


async def main() -> None:
    args = arguments()
    if args.single_bytes:
        TurnClientTcpProtocol._send = send_single_bytes
    alice = agent(args, args.transport, controlling=True)
    bob = agent(args, args.bobs_transport or args.transport, controlling=False)
    await asyncio.wait_for(introduce(alice, bob), TIMEOUT)
    check_relayed(alice, args.relay)
    check_relayed(bob, args.relay)
    await asyncio.wait_for(asyncio.gather(alice.connect(), bob.connect()), TIMEOUT)
    print("connected")
    await both_ways(alice, bob)
    await asyncio.gather(alice.close(), bob.close())
    print(f"sent {MESSAGES} messages each way and received them all")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="address of the TURN server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--transport", choices=["udp", "tcp", "tls"], default="udp")
    parser.add_argument("--bobs-transport", choices=["udp", "tcp", "tls"], help="if not the same")
    parser.add_argument("--ca", required=True, help="PEM file of the CA to trust")
    parser.add_argument(
        "--single-bytes", action="store_true", help="each byte in a segment of its own"
    )
    parser.add_argument("--relay", required=True, help="relayed addresses must have this IP")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    return parser.parse_args()


def agent(args: argparse.Namespace, transport: str, *, controlling: bool) -> aioice.Connection:
    tls = ssl.create_default_context(cafile=args.ca) if transport == "tls" else False
    return aioice.Connection(
        ice_controlling=controlling,
        turn_server=(args.server, args.port),
        turn_username=args.user,
        turn_password=args.password,
        turn_transport="udp" if transport == "udp" else "tcp",
        turn_ssl=tls,
        transport_policy=aioice.TransportPolicy.RELAY,
    )


async def introduce(alice: aioice.Connection, bob: aioice.Connection) -> None:
    """What signalling would carry from each agent to the other."""
    await asyncio.gather(alice.gather_candidates(), bob.gather_candidates())
    for one, other in ((alice, bob), (bob, alice)):
        for candidate in one.local_candidates:
            await other.add_remote_candidate(candidate)
        await other.add_remote_candidate(None)
        other.remote_username = one.local_username
        other.remote_password = one.local_password


def check_relayed(connection: aioice.Connection, relay: str) -> None:
    candidates = connection.local_candidates
    assert candidates, "no candidate was gathered"
    for candidate in candidates:
        assert candidate.type == "relay", f"not relayed: {candidate}"
        assert candidate.host == relay, f"relayed elsewhere: {candidate}"
        print(f"gathered {candidate.type} {candidate.host}")


async def both_ways(alice: aioice.Connection, bob: aioice.Connection) -> None:
    for number in range(MESSAGES):
        for sender, receiver in ((alice, bob), (bob, alice)):
            message = number.to_bytes(4, "big") * (1 + number)
            await sender.send(message)
            received = await asyncio.wait_for(receiver.recv(), TIMEOUT)
            assert received == message, f"message {number} was changed"


def send_single_bytes(self: TurnClientTcpProtocol, data: bytes) -> None:
    """Stands in for the protocol's own; asyncio sets TCP_NODELAY, so a write is a segment."""
    for byte in self._padded(data):
        self.transport.write(bytes([byte]))


asyncio.run(main())
