"""``python -m expertrag`` is the command line."""

from expertrag.cli.main import main

if __name__ == "__main__":
    main()
