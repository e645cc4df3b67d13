"""The verbs, one file each, and the Study and Answer a person holds; the only place that wires the layers together."""
