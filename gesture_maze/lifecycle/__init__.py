"""The life of a model: training runs, MLflow, promotion, background jobs."""
