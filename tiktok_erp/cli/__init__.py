"""The command line: thin commands over the stages, and the one place where everything is wired together."""
