"""BM25 over immutable, mapped files of postings: the lexical half of search.

    analysis (texts to terms) -> build | merge -> one file per segment -> PostingSearcher

A segment holds the postings of some chunks: for each term the rows that contain it, and how often.
A searcher reads several segments, and scores by the statistics of the live chunks alone. The result
depends neither on the segmentation nor on chunks that are deleted or hidden.

Why not a library: tantivy, Lucene and bm25s count the documents of the whole index. From their
scores, a reader who may see only some documents could find out which words the others contain. Here
the statistics are exact for any subset: a generation, or what access labels admit. The files are
immutable and mapped. Their sizes and checksums are in the manifest, like the vector segments, so
that one publication covers both halves of search. Filters are bitmaps inside the search, and not
applied to its results.
"""
