"""What Rackwright does, whoever asks: the command line, the server and tests call this."""
