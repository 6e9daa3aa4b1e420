"""Words, sentences and languages of texts; the terms of BM25 and their postings."""
