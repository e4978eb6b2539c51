"""What a program owes its user in a terminal: messages, spelling, signals, threads, and no secrets told."""
