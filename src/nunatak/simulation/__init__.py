"""Campaigns that have not happened: the real decisions on simulated engines, a simulated clock and a passing database."""
