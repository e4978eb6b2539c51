"""Text as sub-words: what stands in the place of a renderer where a text model reads, such as BERT."""
