"""The list of alerts, with the labels of their patients."""
