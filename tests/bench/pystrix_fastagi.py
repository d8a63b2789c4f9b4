"""The bare server's call on pystrix, a thread a call: the common Python FastAGI server as a peer.

    python -m tests.bench.pystrix_fastagi [COMMANDS]

Seven commands, or more with further sounds. Prints its port; ends when its input does.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from pystrix.agi import FastAGIServer, core

SOUNDS = (int(sys.argv[1]) if len(sys.argv) > 1 else 7) - 6


def take_call(agi: Any, *_environment: Any) -> None:
    agi.execute(core.Answer())
    agi.execute(core.StreamFile("/s/menu", "0123456789*#"))
    agi.execute(core.GetVariable("CHANNEL(language)"))
    for _ in range(SOUNDS):
        agi.execute(core.StreamFile("/s/1029", "0123456789*#"))
    agi.execute(core.WaitForDigit(3000))
    agi.execute(core.StreamFile("/s/goodbye", "0123456789*#"))
    agi.execute(core.SetVariable("CDR(userfield)", "free"))


def main() -> None:
    server = FastAGIServer(interface="127.0.0.1", port=0, daemon_threads=True)
    server.socket.listen(1024)
    server.register_script_handler(None, take_call)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main()
