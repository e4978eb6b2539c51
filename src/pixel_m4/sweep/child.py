"""A fine-tuning run that ends with the process that started it, however that one ends.

``python -m pixel_m4.sweep.child TASK …`` takes the arguments of ``pixel-m4 finetune``.  Its standard input is
a pipe from the sweep: when that is closed, a killed sweep leaves nobody behind who writes into its folders.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_watch, daemon=True).start()
    if hasattr(signal, "pthread_sigmask"):  # processes of Ray block signals, and so would what they start
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    from pixel_m4.console.stopping import Stopped, Stopping
    from pixel_m4.console.threads import settle

    settle()

    try:
        with Stopping().listening():
            from pixel_m4.finetune.run import main

            main(sys.argv[1], sys.argv[2:])
    except Stopped as stop:
        print(f"pixel-m4: {stop.message or 'stopped'}", file=sys.stderr)
        sys.exit(stop.exit_code)
    except Exception as error:
        from pixel_m4.console.errors import report

        report(error)
        sys.exit(1)
