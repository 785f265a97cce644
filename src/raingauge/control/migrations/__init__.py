"""Steps from one schema to the next, run by Alembic when the database is opened. There is no way back but a backup."""
