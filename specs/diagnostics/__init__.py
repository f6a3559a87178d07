"""What is wrong with desired state: codes, places in files, and words for people."""
