"""An OpenAI-compatible server and a page in the browser."""
