-- An item's row is changed twice within moments of being made, with those beside it: with room on its page for another
-- version of each, a change touches no index and leaves no dead row elsewhere.
ALTER TABLE items SET (fillfactor = 50);
