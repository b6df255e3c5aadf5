"""No test reaches a network: what opens a connection beyond this machine fails, whoever opens it."""

import sys

LOCAL = ("127.", "::1", "localhost", "0.0.0.0")
_EVENTS = (
    "socket.connect",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
)


def _refuse(event: str, arguments: tuple) -> None:
    if event not in _EVENTS:
        return
    # getaddrinfo and gethostbyname give the host first, the others the socket and then an address
    asked = arguments[0] if event.startswith("socket.get") else arguments[1]
    host = asked[0] if isinstance(asked, tuple) and asked else asked
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    # a path is a socket of this machine; nothing at all is its own name
    if (
        not isinstance(host, str)
        or not host
        or host.startswith(("/", "\0"))
        or host.startswith(LOCAL)
    ):
        return
    raise PermissionError(f"{event} of {host!r}: nothing here reaches a network")


def refuse() -> None:
    """From here on, in this process (an audit hook stays for good)."""
    sys.addaudithook(_refuse)
