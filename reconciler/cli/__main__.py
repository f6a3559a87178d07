"""``python -m reconciler.cli``: the command line without its installed script."""

from reconciler.cli.main import main

main()
