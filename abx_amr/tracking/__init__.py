"""Where trainings are followed beside their own folders: CSV, TensorBoard, MLflow, W&B."""
