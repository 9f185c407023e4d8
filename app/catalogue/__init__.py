"""The instruments as the API shows them. `app.instruments` itself is pure and knows no framework."""
