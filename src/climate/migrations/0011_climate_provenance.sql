-- Where the three values of a question came from; NULL: not noted, or not all were known.
ALTER TABLE climate_prediction ADD COLUMN provenance TEXT;
