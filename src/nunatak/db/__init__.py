"""The database: engines, dialect differences, migrations."""
