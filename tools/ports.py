"""The two ways from an emulator's serial ports to relay.py. Each gives relay.py's ends (`near`, ports 1 and 2), what the emulator
calls its own (`names`), the descriptors that it must inherit, and what is left to do once it runs.
"""
import socket


class SocketPairs:
    """For an emulator that takes open descriptors (QEMU): a name is a descriptor's number."""

    def __init__(self):
        pairs = [socket.socketpair() for _ in range(2)]
        self.near = [near for near, _ in pairs]
        self.far = [far for _, far in pairs]
        self.names = self.inherited = [far.fileno() for far in self.far]

    def started(self):
        for far in self.far:
            far.close()


class Listeners:
    """For an emulator that connects by TCP (Bochs): `near` are listening sockets, a name is 127.0.0.1:PORT."""

    def __init__(self):
        self.near = [socket.create_server(("127.0.0.1", 0), backlog=1) for _ in range(2)]
        self.names = ["127.0.0.1:%d" % s.getsockname()[1] for s in self.near]
        self.inherited = []

    def started(self):
        pass


def is_listening(port):
    return isinstance(port, socket.socket) and bool(port.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
