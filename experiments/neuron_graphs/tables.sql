CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL);
-- Tokens of the model: the id that stands for each in graphs, its text, and what a search compares.
CREATE TABLE tokens (id INTEGER PRIMARY KEY, class INTEGER NOT NULL, label TEXT NOT NULL, word TEXT NOT NULL);
CREATE INDEX tokens_by_word ON tokens (word);
CREATE TABLE texts (example INTEGER PRIMARY KEY, document INTEGER NOT NULL, tokens BLOB NOT NULL);
-- A unit and its graph, a column per array of the trie; no graph where `nodes` is null.
CREATE TABLE units (
  id INTEGER PRIMARY KEY, layer INTEGER NOT NULL, neuron INTEGER NOT NULL, sign INTEGER NOT NULL,
  reason TEXT NOT NULL, largest REAL NOT NULL, quantiles BLOB NOT NULL, components INTEGER,
  nodes INTEGER, parent BLOB, token BLOB, importance BLOB, activation BLOB, end_max BLOB, end_count BLOB,
  crc32 INTEGER, UNIQUE (layer, neuron, sign)
);
CREATE TABLE metrics (
  unit INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (unit, name)
) WITHOUT ROWID;
-- Texts that activate a unit, the strongest first; activations as shares of its largest, float16.
CREATE TABLE examples (
  unit INTEGER NOT NULL, place INTEGER NOT NULL, example INTEGER NOT NULL, held_out INTEGER NOT NULL,
  shares BLOB NOT NULL, PRIMARY KEY (unit, place)
) WITHOUT ROWID;
-- Which units have a token, in which role, with the largest weight and the least depth if known.
CREATE TABLE postings (
  token INTEGER NOT NULL, role TEXT NOT NULL, unit INTEGER NOT NULL, weight REAL, depth INTEGER,
  PRIMARY KEY (token, role, unit)
) WITHOUT ROWID;
CREATE INDEX postings_by_unit ON postings (unit);
