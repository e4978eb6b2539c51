"""The command `pixel-m4`: arguments and messages; a command imports what it needs when it runs."""
