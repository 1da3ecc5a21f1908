"""``python -m orbitope`` is the command ``orbitope``."""

from orbitope.cli import main

if __name__ == "__main__":
    main()
