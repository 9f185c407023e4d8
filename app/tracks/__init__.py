"""The facts a verdict rests on, the stored folds of them, and each domain's answer. The only caller of `relief` that
writes."""
