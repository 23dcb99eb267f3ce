"""Recipes, datasets, jobs: from what a user writes to what is to be run."""
