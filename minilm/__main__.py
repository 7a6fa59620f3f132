"""The command minilm, as `minilm` and as `python -m minilm`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C is one line, also while Python still loads what the command needs."""
    try:
        from minilm.cli import main as run

        run()
    except KeyboardInterrupt:
        print("minilm: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
