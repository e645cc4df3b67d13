"""`python -m pacesetter.cli`: the command line where its script is not on the path."""

from pacesetter.cli.entry import main

main()
