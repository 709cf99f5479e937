"""A model as a folder that the stock classes of Hugging Face transformers load: weights, tokenizer, names."""
