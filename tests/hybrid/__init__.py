"""What the tests of the hybrid share: texts, generated corpora, small stock models; python -m tests.hybrid makes the tables."""
