-- What else is known of people: from an administrator, or from the claims of their tokens. Null: nothing was said.
ALTER TABLE annotators ADD COLUMN languages text[];
ALTER TABLE annotators ADD COLUMN groups text[];
-- When the token was issued whose claims the row holds: an older one does not bring back what a later one took away.
ALTER TABLE annotators ADD COLUMN claims_at timestamptz;
