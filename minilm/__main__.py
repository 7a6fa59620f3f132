"""python -m minilm is the command minilm."""

from minilm.cli import main

if __name__ == "__main__":
    main()
