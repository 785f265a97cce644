"""Lets `python -m raingauge` do what the `raingauge` command does."""

from raingauge.cli import main

if __name__ == "__main__":
    main()
