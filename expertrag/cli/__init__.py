"""The command line: one file per command group.

    main.py      the entry point; turns every error into one line and an exit code
    exits.py     the exit codes, and which error has which
    options.py   flags derived from the configuration, with their environment twins
    output.py    JSON and text on stdout, notes on stderr
    progress.py  a bar on a terminal, plain lines elsewhere
    docs.py      writes docs/cli.md and docs/config.md

Heavy imports stand inside the commands: ``expertrag --help`` loads neither torch nor grpc.
"""
