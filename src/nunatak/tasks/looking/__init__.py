"""Read models: what people look at and ask, told in plain values. Nothing is changed here, and no decision needs what is in it."""
