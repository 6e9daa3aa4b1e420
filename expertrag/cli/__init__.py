"""The command line: one file per command group.

    main.py      the entry point; turns every error into one line and an exit code
    exits.py     the exit codes, and the code of each error
    options.py   flags derived from the configuration, with their environment variables
    output.py    JSON and text on stdout, notes on stderr
    progress.py  a bar on a terminal, plain lines elsewhere
    docs.py      generates the pages cli.md and config.md of the documentation

Heavy imports are inside the commands: ``expertrag --help`` loads neither torch nor grpc.
"""
