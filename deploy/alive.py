"""Exit 0 while the worker of this container lives: asks /livez at port 9464, or the one that is given."""

import sys
from http.client import HTTPConnection

PORT, TIMEOUT_S, OK = 9464, 2.0, 200


def main() -> int:
    """Ask once."""
    connection = HTTPConnection(
        "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else PORT, timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", "/livez")
        return 0 if connection.getresponse().status == OK else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
