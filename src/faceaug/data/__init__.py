"""What is known of faces: pictures decoded, tables read, folders as datasets."""
