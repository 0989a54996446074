"""Face data: picture decoding, annotation tables, and folders as datasets."""
