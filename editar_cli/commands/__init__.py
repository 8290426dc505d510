"""One file per command. What is heavy is imported inside the commands, so that help is instant."""
