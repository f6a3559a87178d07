"""What is installed on the machine and how it runs, for the server's inventory."""
