"""Reports of runs: one static HTML file, CSV, Markdown, and a leaderboard."""
