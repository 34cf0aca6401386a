"""The rows layout: each image is a version of its item's object."""
