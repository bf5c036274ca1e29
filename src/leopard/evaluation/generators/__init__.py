"""What answers samples: models, servers, logs and baselines."""
