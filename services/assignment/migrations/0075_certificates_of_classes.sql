-- Classes that the certificate speaks of by themselves, as JSON: name -> threshold (null: nothing), audit share, validity.
ALTER TABLE certificates ADD COLUMN classes text NOT NULL DEFAULT '{}';
