"""What is trained on labels: linear probes on cached features, fine-tuning, model directories."""
