"""S3: its requests over two clients, its answers and errors, and a bucket's settings."""
