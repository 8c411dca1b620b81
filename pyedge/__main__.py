"""`python -m pyedge`: the command where its script is not on the path."""

from pyedge.cli import main

if __name__ == "__main__":
    main()
