-- Classes that the certificate speaks of by themselves, as JSON: name -> threshold (null: nothing), audit share, validity;
-- under '' what it says of the others. They are of the certificate of number classes_of: a process of a release before
-- writes a newer certificate without them.
ALTER TABLE certificates ADD COLUMN classes text NOT NULL DEFAULT '{}', ADD COLUMN classes_of bigint;
