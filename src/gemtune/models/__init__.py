"""Models and tokenizers: finding, loading, prompting, decoding."""
