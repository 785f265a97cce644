"""`raingauge demo`: a month of made-up telemetry, sent to a real server over HTTP.

    application.py  in the server process: starts and stops the sender beside the server
    __main__.py     the sender process: fills, says that it is ready, then keeps a little going
    send.py         HTTP: bounded concurrency, waits when the server says so
    story.py        who works on what, and what goes wrong: the things to find
    work.py         how an agent works: sessions, prompts, model requests, tool calls, subagents
    claude.py, other_agents.py, loops.py, flags.py, usage.py
                    the same in the wire formats of real clients; pure functions of a seeded random

Nothing here reads or writes the store: whatever a dashboard shows came in through the ingest routes.
"""
