-- Live curves of every kind, not of brews only: the kind's own columns are in the program.
ALTER TABLE espresso_curves RENAME TO command_curves;
