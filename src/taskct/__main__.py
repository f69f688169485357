"""`python -m taskct` is `taskct`."""

from taskct.cli import main

if __name__ == "__main__":
    main()
