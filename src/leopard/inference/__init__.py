"""The local generator and the question-answering front end."""
