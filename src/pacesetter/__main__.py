"""`python -m pacesetter`: the command `pacesetter`."""

from pacesetter.cli.entry import main

if __name__ == "__main__":
    main()
