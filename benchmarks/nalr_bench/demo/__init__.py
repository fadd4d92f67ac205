"""The demonstration: nalr beside hand-tuned learning rates on three problems, as a table and as pictures."""
