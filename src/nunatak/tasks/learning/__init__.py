"""What finished attempts teach: what to ask for, how many to run in a row, what is too long, when it will be done."""
